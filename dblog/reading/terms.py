"""The terms that a filter is made of."""

import logging
import re
from dataclasses import dataclass

from dblog.reading.fields import Field

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written; in a quoted one `*` is an ordinary character."""

    text: str
    quoted: bool = False

    @property
    def any(self) -> bool:
        """Whether this is the lone `*` that stands for any value."""
        return self.text == "*" and not self.quoted

    @property
    def wild(self) -> bool:
        """Whether a `*` in it stands for any text."""
        return "*" in self.text and not self.quoted


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text that the message or the exception contains."""

    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field that equals one of several values, or that is on one side of a single one."""

    field: Field
    operator: str
    """One of `= >= > <= <`."""
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """What is not so, or not known."""

    term: "Filter"


@dataclass(frozen=True, slots=True)
class Conjunction:
    """All of the terms; without any, everything."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    """At least one of the terms."""

    terms: tuple["Filter", ...]


Filter = Phrase | Comparison | Negation | Conjunction | Disjunction


def level_number(text: str) -> int | None:
    """The number of a level that is given by its name or as a number; None for a name that is not known here."""
    if is_whole_number(text):
        return int(text)
    return logging.getLevelNamesMapping().get(text.upper())


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number, of no more digits than PostgreSQL's bigint can have."""
    return _WHOLE_NUMBER.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Whether a text is a number as JSON has them."""
    return _NUMBER.fullmatch(text) is not None

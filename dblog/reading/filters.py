r"""The filter language: from `level>=warning logger:app.db.* "connection reset" -healthz` to a tree of terms.

    filter  = all { "OR" all }
    all     = { [ "AND" ] negated }
    negated = ( "-" | "NOT" ) negated | "(" filter ")" | term
    term    = field operator value { "," value } | text
    text    = word | quoted phrase
    value   = word | quoted phrase

A text is looked for in the message and the exception, whatever its case. `field:value` is equality (`=` says the same),
`*` in an unquoted value stands for any text, `field:*` for any value at all, `field:a,b` for either. The operators
`>= > <= <` compare levels and numbers. A quoted phrase is taken as it is, but for `\"`, a quote,
and `\\`, a backslash.
"""

import re
from typing import Final, NoReturn

from dblog.errors import UsageError
from dblog.reading.fields import FIELDS, Field, Kind, unknown
from dblog.reading.terms import (
    Comparison,
    Conjunction,
    Disjunction,
    Filter,
    Negation,
    Phrase,
    Value,
    is_number,
    is_whole_number,
    level_number,
)

MAX_LENGTH: Final = 10_000
"""Characters of a filter: far below the number of parameters that one statement can take."""
MAX_DEPTH: Final = 25
"""Parentheses inside parentheses."""

_QUOTED_TEXT = r'"(?:\\["\\]|[^"\\]|\\(?!["\\]))*"'
_QUOTED = re.compile(_QUOTED_TEXT)
_WORD = re.compile(r'[^\s()"]+')
_VALUE = re.compile(r'[^\s(),"]+')
_FIELD = re.compile(rf'([A-Za-z_]\w*(?:\.(?:[^\s.:=<>"()]+|{_QUOTED_TEXT}))*)(>=|<=|[:=<>])')
_PATH_PART = re.compile(rf'\.([^\s.:=<>"()]+|{_QUOTED_TEXT})')
_KEYWORD = re.compile(r"(OR|AND|NOT)(?=[\s()]|$)")
_UUID = re.compile(r"[0-9a-fA-F-]{1,36}\*?")


def parse(text: str) -> Filter:
    """Understand a filter.

    Raises:
        UsageError: Names the term, its position (from 1) and what is accepted there.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"filter: has {len(text)} characters; accepted: up to {MAX_LENGTH}")
    odd = next((at for at, char in enumerate(text, 1) if char == "\0" or "\ud800" <= char <= "\udfff"), None)
    if odd:
        raise UsageError(f"filter, position {odd}: {text[odd - 1]!r} cannot be searched for: no stored text holds it")
    return _Parser(text).parse()


class _Parser:
    """A recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def parse(self) -> Filter:
        self._skip_space()
        found = self._any() if not self._ended() else Conjunction(())
        if not self._ended():
            self._fail(self._at, "a closing parenthesis without an opening one; quote it to search for it")
        return found

    def _any(self) -> Filter:
        terms = [self._all()]
        while self._keyword("OR"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else Disjunction(tuple(terms))

    def _all(self) -> Filter:
        terms = [self._negated()]
        while not self._ended() and self._text[self._at] != ")" and not self._sees("OR"):
            self._keyword("AND")
            terms.append(self._negated())
        return terms[0] if len(terms) == 1 else Conjunction(tuple(terms))

    def _negated(self) -> Filter:
        negative = False
        while True:
            if self._keyword("NOT"):
                negative = not negative
            elif self._text.startswith("-", self._at):
                if not re.match(r"-[^\s)]", self._text[self._at : self._at + 2]):
                    self._fail(self._at, "- stands directly before the term that it negates")
                negative = not negative
                self._at += 1
            else:
                break
        term = self._group() if self._text.startswith("(", self._at) else self._term()
        return Negation(term) if negative else term

    def _group(self) -> Filter:
        opened = self._at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(opened, f"more than {MAX_DEPTH} parentheses inside each other")
        self._at += 1
        self._skip_space()
        found = self._any()
        if not self._text.startswith(")", self._at):
            self._fail(opened, "the parenthesis is not closed")
        self._at += 1
        self._depth -= 1
        self._skip_space()
        return found

    def _term(self) -> Filter:
        start = self._at
        if self._ended() or self._text[start] == ")" or self._sees("OR") or self._sees("AND"):
            self._fail(start, "a term is missing here; accepted: text, field:value, -term or (terms)")
        named = _FIELD.match(self._text, start)
        found = self._comparison(named) if named else Phrase(self._piece(_WORD).text)
        self._end_of_term(start)
        return found

    def _comparison(self, named: re.Match[str]) -> Comparison:
        start = self._at
        field = self._field(named[1])
        operator = "=" if named[2] == ":" else named[2]
        self._at = named.end()
        values = [self._value(field, start)]
        while self._text.startswith(",", self._at):
            self._at += 1
            values.append(self._value(field, start))
        if operator != "=":
            self._require_order(field, values, start)
        return Comparison(field, operator, tuple(values))

    def _field(self, name: str) -> Field:
        if name.startswith("extra."):
            path = tuple(_unquoted(part) for part in _PATH_PART.findall(name))
            return Field(name, "extra_data", Kind.EXTRA, path)
        if name not in FIELDS:
            self._fail(self._at, f"{unknown(name)} (in quotes it is searched for as a text)")
        return FIELDS[name]

    def _value(self, field: Field, start: int) -> Value:
        if self._ended() or self._text[self._at] in " \t\n(),":
            self._fail(start, f"a value is missing; {field.name} takes {field.kind.value}")
        value = self._piece(_VALUE)
        if not value.any and not _accepts(field.kind, value):
            self._fail(start, f"{value.text!r} is not accepted; {field.name} takes {field.kind.value}")
        return value

    def _require_order(self, field: Field, values: list[Value], start: int) -> None:
        if not field.ordered:
            self._fail(start, f"{field.name} has no order; accepted: {field.name}:value")
        if len(values) > 1 or values[0].wild:
            self._fail(start, f"a comparison takes one value without *, as in {field.name}>=20")
        if field.kind is Kind.EXTRA and not is_number(values[0].text):
            self._fail(start, f"{values[0].text!r} is not a number; {field.name} is compared with numbers")
        if field.kind is Kind.LEVEL and level_number(values[0].text) is None:
            self._fail(start, f"the number of level {values[0].text!r} is not known; give it, as in level>=25")

    def _piece(self, plain: re.Pattern[str]) -> Value:
        """Read a quoted phrase, or what the pattern matches."""
        if self._text.startswith('"', self._at):
            found = _QUOTED.match(self._text, self._at)
            if not found:
                self._fail(self._at, "the quote is not closed")
            self._at = found.end()
            return Value(_unquoted(found[0]), quoted=True)
        found = plain.match(self._text, self._at)
        if not found:
            self._fail(self._at, "put a text with parentheses in quotes")
        self._at = found.end()
        return Value(found[0])

    def _end_of_term(self, start: int) -> None:
        if not self._ended() and not self._text[self._at].isspace() and self._text[self._at] != ")":
            self._fail(start, "put a text with quotes or parentheses in quotes as a whole")
        self._skip_space()

    def _sees(self, keyword: str) -> re.Match[str] | None:
        found = _KEYWORD.match(self._text, self._at)
        return found if found and found[1] == keyword else None

    def _keyword(self, keyword: str) -> bool:
        found = self._sees(keyword)
        if found:
            self._at = found.end()
            self._skip_space()
        return found is not None

    def _skip_space(self) -> None:
        while not self._ended() and self._text[self._at].isspace():
            self._at += 1

    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _fail(self, at: int, problem: str) -> NoReturn:
        shown = re.match(r"\S{0,40}", self._text[at:])
        term = f" {shown[0]!r}:" if shown and shown[0] else ""
        raise UsageError(f"filter, position {at + 1}:{term} {problem}")


def _accepts(kind: Kind, value: Value) -> bool:
    if kind in (Kind.NUMBER, Kind.LEVEL) and (kind is Kind.NUMBER or is_whole_number(value.text)):
        return is_whole_number(value.text) and abs(int(value.text)) < 2**63
    if kind is Kind.UUID:
        return bool(_UUID.fullmatch(value.text)) and (value.wild or len(value.text.replace("-", "")) == 32)
    return True


def _unquoted(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text[1:-1]) if text.startswith('"') else text

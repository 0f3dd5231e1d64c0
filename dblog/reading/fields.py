"""The fields that a filter may name, and what each of them accepts."""

import difflib
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """How a field is compared; the value says what the field accepts."""

    NAME = "a name, with * for any text"
    LOGGER = "the name of a logger, with * for any text; app.* is app and everything below it"
    SEARCH = "a piece of the text, with * for any text"
    LEVEL = "a level by name or number"
    NUMBER = "a whole number"
    UUID = "a UUID, or its beginning and *"
    EXTRA = "a text, a number, true or false, with * for any text"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the filter language: its name, the column behind it, and how it is compared."""

    name: str
    column: str
    kind: Kind
    path: tuple[str, ...] = ()
    """For `extra.a.b`: the keys that lead to the value."""

    @property
    def ordered(self) -> bool:
        """Whether `<` and `>` make sense."""
        return self.kind in (Kind.LEVEL, Kind.NUMBER, Kind.EXTRA)


_FIELDS = (
    Field("level", "level", Kind.LEVEL),
    Field("level_no", "level_no", Kind.NUMBER),
    Field("logger", "logger_name", Kind.LOGGER),
    Field("service", "service", Kind.NAME),
    Field("host", "hostname", Kind.NAME),
    Field("pid", "process_id", Kind.NUMBER),
    Field("thread", "thread_name", Kind.NAME),
    Field("thread_id", "thread_id", Kind.NUMBER),
    Field("task", "task_name", Kind.NAME),
    Field("module", "module", Kind.NAME),
    Field("function", "function_name", Kind.NAME),
    Field("file", "filename", Kind.NAME),
    Field("line", "lineno", Kind.NUMBER),
    Field("path", "pathname", Kind.NAME),
    Field("exception", "exception", Kind.SEARCH),
    Field("exception_type", "exception_type", Kind.NAME),
    Field("stack", "stack_info", Kind.SEARCH),
    Field("message", "message", Kind.SEARCH),
    Field("trace", "trace_id", Kind.NAME),
    Field("span", "span_id", Kind.NAME),
    Field("writer", "writer_id", Kind.UUID),
    Field("batch", "batch_seq", Kind.NUMBER),
    Field("id", "id", Kind.NUMBER),
)

FIELDS: Final = {field.column: field for field in _FIELDS} | {field.name: field for field in _FIELDS}
"""Fields by their name; the name of the column is accepted, too."""

NAMES: Final = (*(field.name for field in _FIELDS), "extra.<key>")
"""What to show when a field is not known."""

_TIMES = ("timestamp", "time", "created_at", "since", "until", "date")


def unknown(name: str) -> str:
    """What to say about a name that is no field."""
    if name in _TIMES:
        return f"unknown field {name}; times are given by --since and --until"
    if name == "extra":
        return "extra needs a key; accepted: extra.<key>, as in extra.user_id:42"
    close = difflib.get_close_matches(name, FIELDS, n=1)
    return f"unknown field {name}; " + (f"did you mean {close[0]}?" if close else f"accepted: {', '.join(NAMES)}")

"""What writers have recorded about losses: records of the logger `dblog` with an `event` in their `extra_data`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from dblog.reading.window import Window
from dblog.store.names import Names
from dblog.store.schema import logs_table

LOGGER: Final = "dblog"
_PLACES: Final = ("dropped", "printed", "rejected")


@dataclass(frozen=True, slots=True)
class UncleanEnd:
    """What another writer found of one that had died."""

    waiting: int | None
    """Records that were in its memory when it was last seen; None where that is not known."""
    last_seen: str | None
    """When it last wrote down how it was, in ISO 8601; what it took later is not known."""
    journaled: bool
    """Whether it kept a journal: then what it took later is not lost either."""


@dataclass(slots=True)
class Notes:
    """What is recorded about one writer, in records."""

    dropped: int = 0
    """Given up for want of room, by policy or because nothing could take them."""
    printed: int = 0
    """Written to stderr because nothing else could take them."""
    rejected: int = 0
    """Refused by PostgreSQL and set aside in files."""
    unclean_end: UncleanEnd | None = None


def read_notes(
    connection: sa.Connection, names: Names, spans: Sequence[Window], writer: UUID | None
) -> dict[UUID, Notes]:
    """What the records in some stretches of time say about writers, or about one of them.

    A record of that logger whose `extra_data` has another shape is somebody else's, and says nothing here.
    """
    logs = logs_table(names)
    event, about = logs.c.extra_data["event"].astext, logs.c.extra_data["writer_id"].astext
    statement = (
        sa.select(event, about, logs.c.extra_data)
        .where(logs.c.logger_name == LOGGER, event.in_(("losses", "unclean_end")), about.regexp_match("^[0-9a-f]{32}$"))
        .where(sa.or_(*(logs.c.timestamp.between(span.since, span.until) for span in spans)))
    )
    if writer is not None:
        statement = statement.where(about == writer.hex)
    found: dict[UUID, Notes] = {}
    for kind, name, extra in connection.execute(statement):
        notes = found.setdefault(UUID(name), Notes())
        if kind == "unclean_end":
            notes.unclean_end = _unclean_end(extra)
        else:
            for place in _PLACES:
                setattr(notes, place, getattr(notes, place) + _total(extra.get(place)))
    return found


def _unclean_end(extra: dict[str, Any]) -> UncleanEnd:
    seen = extra.get("last_seen")
    return UncleanEnd(
        waiting=_number(extra.get("waiting")),
        last_seen=seen if isinstance(seen, str) else None,
        journaled=extra.get("durability") == "journal",
    )


def _total(by_level: Any) -> int:
    values = by_level.values() if isinstance(by_level, dict) else ()
    return sum(_number(value) or 0 for value in values)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

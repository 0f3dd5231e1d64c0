"""What an adoption would do, as far as the catalogue and a look at the first and the last row tell."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from dblog.columns import LOG_COLUMNS
from dblog.store.adopting.identity import resume
from dblog.store.adopting.mapping import MAKE_PARSE, map_columns
from dblog.store.adopting.source import Source
from dblog.store.adopting.state import State
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import server_now

RATE: Final = 20_000
"""Rows in a second, on two cores that have other work, too."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to adopt."""

    rows: int
    """By the planner, which knows of the table what the last ANALYZE found."""
    bytes: int
    """Bytes of the whole old table; its copy takes about as many, and as many again for indexes."""
    seconds: float
    """At `RATE`."""
    adopted: int
    """Rows that were adopted before."""
    oldest: datetime | None
    """The time of the row with the smallest id that is left."""
    newest: datetime | None
    """The time of the row with the largest."""
    kept: tuple[str, ...]
    """The columns of the old table that the records have, too."""
    into_extra: tuple[str, ...]
    """The others, which go into `extra_data`."""


def estimate(
    connection: sa.Connection, names: Names, source: Source, zone: str | None, *, anew: bool | None = None
) -> Estimate:
    """Look at what is left; nothing is changed.

    Args:
        connection: A connection that is in no transaction.
        names: The tables that would take the rows.
        source: The old table.
        zone: The time zone of times that do not say theirs.
        anew: As `resume` takes it.

    Raises:
        DblogError: As `resume`.
    """
    with connection.begin():
        connection.execute(verbatim(MAKE_PARSE))
        mapping = map_columns(source, zone, server_now(connection))
        state = resume(connection, names, source, anew)
        left = f"FROM {source.qualified} s WHERE {_left(state)}"
        plan: Any = connection.scalar(verbatim(f"EXPLAIN (FORMAT JSON) SELECT {left}"))
        ends = [
            connection.scalar(verbatim(f"SELECT {mapping.moment} {left} ORDER BY s.id {order} LIMIT 1"))
            for order in ("ASC", "DESC")
        ]
    oldest, newest = sorted(end.astimezone(UTC) for end in ends) if None not in ends else (None, None)
    rows = int(plan[0]["Plan"]["Plan Rows"]) if oldest is not None else 0
    ours = {column.name for column in LOG_COLUMNS} | {"created_at"}
    return Estimate(
        rows=rows,
        bytes=source.size,
        seconds=rows / RATE,
        adopted=state.rows,
        oldest=oldest,
        newest=newest,
        kept=tuple(name for name in source.columns if name in ours and name not in mapping.unmapped),
        into_extra=mapping.unmapped,
    )


def _left(state: State) -> str:
    return "true" if state.upto is None else f"s.id > {state.upto}"

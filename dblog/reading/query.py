"""The newest records that match a filter, within a window of time that prunes partitions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from dblog.reading.conditions import condition
from dblog.reading.stretches import stretches
from dblog.reading.terms import Filter
from dblog.reading.window import Window

Record = sa.RowMapping
"""A row of `{prefix}_logs`: its columns by name."""

CHUNK: Final = 1000
"""Rows that are fetched at a time: what a client holds in memory, however many rows there are."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    term: Filter
    window: Window
    limit: int
    """The number of newest records; 0 for all."""

    def where(self, logs: sa.FromClause) -> sa.ColumnElement[bool]:
        """The condition on a row."""
        time = logs.c.timestamp
        return sa.and_(
            time >= _moment(self.window.since), time < _moment(self.window.until), condition(self.term, logs)
        )

    def select(self, logs: sa.Table) -> sa.Select[Any]:
        """The statement: oldest first, of the newest `limit` rows."""
        chosen = sa.select(logs).where(self.where(logs))
        if self.limit:
            newest = chosen.order_by(logs.c.timestamp.desc(), logs.c.id.desc()).limit(self.limit).subquery("newest")
            return sa.select(newest).order_by(newest.c.timestamp, newest.c.id)
        return chosen.order_by(logs.c.timestamp, logs.c.id)


def records(connection: sa.Connection, logs: sa.Table, query: Query) -> Iterator[Record]:
    """The records, oldest first.

    Up to `CHUNK` of the newest are looked for from the end of the window backwards, in no more partitions than need be.
    More are streamed from the server, `CHUNK` rows at a time.
    """
    if 0 < query.limit <= CHUNK:
        yield from _latest(connection, logs, query)
        return
    with connection.execute(query.select(logs), execution_options={"yield_per": CHUNK}) as result:
        yield from result.mappings()


def _latest(connection: sa.Connection, logs: sa.Table, query: Query) -> list[Record]:
    found: list[Record] = []
    for window in stretches(query.window, datetime.now(UTC)):
        part = replace(query, window=window, limit=query.limit - len(found))
        found[:0] = connection.execute(part.select(logs)).mappings()
        if len(found) >= query.limit:
            break
    return found


def newest(connection: sa.Connection, logs: sa.Table) -> datetime | None:
    """The timestamp of the newest record; None for an empty table.

    PostgreSQL looks at one partition after the other, the latest first, and stops at the first row.
    """
    found: datetime | None = connection.scalar(sa.select(logs.c.timestamp).order_by(logs.c.timestamp.desc()).limit(1))
    return found


def _moment(moment: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, sa.TIMESTAMP(timezone=True))

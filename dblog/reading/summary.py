"""Figures about a window of time: records by level, by logger and by hour."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from dblog.reading.query import Query
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions
from dblog.store.schema import logs_table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Summary:
    """How many records a window holds, and of what kind."""

    levels: tuple[tuple[str, int], ...]
    """Level and records, the gravest first."""
    loggers: tuple[tuple[str, int], ...]
    """Logger and records, the busiest first."""
    hours: tuple[tuple[datetime, int], ...]
    """Beginning of the hour (UTC) and records, in order; hours without records are left out."""

    @property
    def records(self) -> int:
        """The number of all records."""
        return sum(count for _, count in self.levels)


def summarize(connection: sa.Connection, names: Names, query: Query, *, top: int) -> Summary:
    """Count the records of a query; `query.limit` does not matter.

    Without a filter both counts are answered from indexes alone: the primary key, which includes the level, and that of
    the loggers. They see one snapshot, so that they count the same records.

    Args:
        connection: From `dblog.store.engine.reading`, in no transaction.
        names: The tables.
        query: The filter and the window.
        top: The number of loggers to name, the busiest; with 0 they are not counted.
    """
    logs = logs_table(names)
    steady = connection.execution_options(isolation_level="REPEATABLE READ")
    with steady.begin():
        counted = steady.execute(_by_level_and_hour(logs, query)).all()
        numbers = _numbers(steady, logs, {level: first for level, _, _, first in counted})
        loggers = steady.execute(_by_logger(logs, query, top)).all() if top else []
    levels: Counter[str] = Counter()
    hours: Counter[datetime] = Counter()
    for level, hour, count, _ in counted:
        levels[level] += count
        hours[hour] += count
    gravest = sorted(levels.items(), key=lambda item: (numbers.get(item[0], 0), item[0]), reverse=True)
    return Summary(tuple(gravest), tuple((name, count) for name, count in loggers), tuple(sorted(hours.items())))


def _by_level_and_hour(logs: sa.Table, query: Query) -> sa.Select[Any]:
    """`date_bin` gives the hours of UTC as `date_trunc` does, for a third of its price."""
    hour = sa.func.date_bin(timedelta(hours=1), logs.c.timestamp, _EPOCH)
    return (
        sa.select(logs.c.level, hour, sa.func.count(), sa.func.min(logs.c.timestamp))
        .where(query.where(logs))
        .group_by(sa.literal_column("1"), sa.literal_column("2"))
    )


def _by_logger(logs: sa.Table, query: Query, top: int) -> sa.Select[Any]:
    count = sa.func.count()
    return (
        sa.select(logs.c.logger_name, count)
        .where(query.where(logs))
        .group_by(logs.c.logger_name)
        .order_by(count.desc(), logs.c.logger_name)
        .limit(top)
    )


def _numbers(connection: sa.Connection, logs: sa.Table, examples: Mapping[str, datetime]) -> dict[str, int]:
    """The number of each level, which is not in the index: looked up at one record of the level."""
    if not examples:
        return {}
    each = (sa.and_(logs.c.timestamp == moment, logs.c.level == level) for level, moment in examples.items())
    number = sa.func.max(logs.c.level_no).label("number")
    found = connection.execute(sa.select(logs.c.level, number).where(sa.or_(*each)).group_by(logs.c.level))
    return {row.level: row.number for row in found}


def sizes(connection: sa.Connection, names: Names) -> tuple[Partition, ...]:
    """The partitions of `{prefix}_logs` with their sizes and estimated rows, the latest first."""
    found = (part for part in list_partitions(connection, names) if part.table == "logs")
    return tuple(reversed(tuple(found)))

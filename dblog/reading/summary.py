"""Figures about a window of time: records by level, by logger and by hour."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dblog.reading.query import Query
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions
from dblog.store.schema import logs_table


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
    """Count the records of a query in one pass over its window; `query.limit` does not matter.

    Args:
        connection: From `dblog.store.engine.reading`.
        names: The tables.
        query: The filter and the window.
        top: The number of loggers to name, the busiest.
    """
    logs = logs_table(names)
    hour = sa.func.date_trunc("hour", logs.c.timestamp, sa.literal_column("'UTC'"))
    level = sa.tuple_(logs.c.level_no, logs.c.level)
    statement = (
        sa.select(logs.c.level_no, logs.c.level, logs.c.logger_name, hour.label("hour"), sa.func.count())
        .where(query.where(logs))
        .group_by(sa.func.grouping_sets(level, sa.tuple_(logs.c.logger_name), sa.tuple_(hour)))
    )
    levels: list[tuple[int, str, int]] = []
    loggers: list[tuple[str, int]] = []
    hours: list[tuple[datetime, int]] = []
    for level_no, name, logger, begun, count in connection.execute(statement):
        if level_no is not None:
            levels.append((level_no, name, count))
        elif logger is not None:
            loggers.append((logger, count))
        else:
            hours.append((begun, count))
    busiest = sorted(loggers, key=lambda item: (-item[1], item[0]))[:top]
    by_level = tuple((name, count) for _, name, count in sorted(levels, reverse=True))
    return Summary(by_level, tuple(busiest), tuple(sorted(hours)))


def sizes(connection: sa.Connection, names: Names) -> tuple[Partition, ...]:
    """The partitions of `{prefix}_logs` with their sizes and estimated rows, the latest first."""
    found = (part for part in list_partitions(connection, names) if part.table == "logs")
    return tuple(reversed(tuple(found)))

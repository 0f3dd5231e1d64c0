"""Partitions: which there are, which are due, and making them without ever blocking a writer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tenacity import wait_random_exponential

from dblog.errors import DatabaseError
from dblog.faults import sqlstate_of
from dblog.periods import PartitionBy, end_of, reach_ahead
from dblog.store.engine import verbatim
from dblog.store.layout import layout_of
from dblog.store.locks import patient
from dblog.store.names import Names, Table

LOCK_ATTEMPTS: Final = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as the catalogue knows it."""

    name: str
    table: Table
    start: datetime | None
    """The first moment it holds; None for no bound, or one before the year 1."""
    end: datetime | None
    """The first moment after it; None for no bound, or one after the year 9999.

    A partition that begins after that year, too, ends where it begins: it holds nothing that a program can name.
    """
    default: bool
    """True for a DEFAULT partition, which dblog never makes."""
    ours: bool
    """True where the comment says that dblog made it."""
    detaching: bool
    """True where a `DETACH ... CONCURRENTLY` was begun and not finished."""
    rows: int | None
    """What the last ANALYZE found, or before the first what the server has counted; None where it has not."""
    size: int
    """Bytes on disk, with indexes."""
    settled: bool = False
    """True where it got what closed data deserves, and nothing was added or removed since."""

    def holds(self, moment: datetime) -> bool:
        """Whether a row of this moment belongs here."""
        if self.default:
            return False
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


def plan_ahead(
    existing: Iterable[Partition], now: datetime, granularity: PartitionBy, ahead: int
) -> tuple[datetime, ...]:
    """A moment in each partition of the records or of the ledger that is missing from now to the last period ahead.

    Whatever the granularity was before, no gap is left, because each new partition begins and ends where others do.
    """
    known = tuple(existing)
    records, ledger = reach_ahead(granularity, ahead)
    return tuple(
        sorted(
            {
                *_gaps([part for part in known if part.table == "logs"], granularity, now, now + records),
                *_gaps([part for part in known if part.table == "batches"], "day", now, now + ledger),
            }
        )
    )


def _gaps(
    partitions: list[Partition], granularity: PartitionBy, moment: datetime, until: datetime
) -> Iterator[datetime]:
    while moment <= until:
        holder = next((part for part in partitions if part.holds(moment)), None)
        if holder is None:
            yield moment
            starts = (part.start for part in partitions if part.start is not None and part.start > moment)
            moment = min([end_of(granularity, moment), *starts])
        elif holder.end is None:
            return
        else:
            moment = holder.end


def list_partitions(connection: sa.Connection, names: Names) -> tuple[Partition, ...]:
    """Read the partitions of both tables from the catalogue, oldest first; the session must speak UTC."""
    parents = {"logs": names.qualified(names.logs), "batches": names.qualified(names.batches)}
    rows = connection.execute(_PARTITIONS, parents)
    return tuple(Partition(**row) for row in rows.mappings())


ROWS: Final = """
    CAST(
        CASE WHEN c.relkind = 'r' AND pg_relation_size(c.oid) = 0 THEN 0
             WHEN c.relpages <> 0 AND c.reltuples >= 0 THEN c.reltuples
             ELSE nullif(pg_stat_get_live_tuples(c.oid), 0) END
        AS bigint
    )
"""
"""The rows of a table `c` of pg_class, as far as the server knows them without counting."""

_PARTITIONS = sa.text(
    rf"""
    SELECT c.relname AS name,
           p.kind AS "table",
           CASE WHEN lower >= '0001-01-01 00:00+00' THEN least(lower, '9999-12-31 23:59:59.999999+00') END AS start,
           CASE WHEN lower >= '10000-01-01 00:00+00' THEN '9999-12-31 23:59:59.999999+00'
                WHEN upper < '10000-01-01 00:00+00' THEN greatest(upper, '0001-01-01 00:00+00') END AS end,
           bound = 'DEFAULT' AS default,
           coalesce(starts_with(comment, 'dblog partition of '), false) AND c.relnamespace = o.relnamespace AS ours,
           i.inhdetachpending AS detaching,
           {ROWS} AS rows,
           pg_total_relation_size(c.oid) AS size,
           coalesce(right(comment, 8) = ', frozen', false)
             AND pg_stat_get_ins_since_vacuum(c.oid) = 0 AND pg_stat_get_dead_tuples(c.oid) = 0 AS settled
    FROM (VALUES ('logs', to_regclass(:logs)), ('batches', to_regclass(:batches))) AS p (kind, parent)
    JOIN pg_inherits i ON i.inhparent = p.parent
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_class o ON o.oid = i.inhparent
    CROSS JOIN obj_description(c.oid, 'pg_class') AS comment
    CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bound
    CROSS JOIN LATERAL (
        SELECT substring(bound FROM 'FROM [(]''([^'']+)''')\:\:timestamptz AS lower,
               substring(bound FROM 'TO [(]''([^'']+)''')\:\:timestamptz AS upper
    ) AS bounds
    ORDER BY p.kind DESC, start NULLS FIRST
    """
)


def server_now(connection: sa.Connection) -> datetime:
    """The clock of the server, which decides about partitions."""
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def make_ahead(connection: sa.Connection, names: Names, ahead: int) -> tuple[str, ...]:
    """Make the missing partitions of the next `ahead` periods, each in its own transaction.

    Waits for locks of others in short turns, so that no writer ever queues behind it. One that cannot be made does not
    keep the others from being made.

    Returns:
        The names of the partitions of the records for which something was made.

    Raises:
        DatabaseError: A DEFAULT partition has rows for one of them.
        sqlalchemy.exc.DBAPIError: PostgreSQL refused one of them for another reason.
    """
    with connection.begin():
        missing = plan_ahead(
            list_partitions(connection, names),
            server_now(connection),
            layout_of(connection, names).partition_by,
            ahead,
        )
    made: dict[str, None] = {}
    problems: list[Exception] = []
    for moment in missing:
        try:
            made[make_partition(connection, names, moment)] = None
        except (DBAPIError, DatabaseError) as error:
            problems.append(error)
            if connection.invalidated:
                break
    if problems:
        raise problems[0]
    return tuple(made)


def make_partition(connection: sa.Connection, names: Names, moment: datetime) -> str:
    """Make the partitions that hold a moment where they are missing; returns the name of the one for the records.

    Raises:
        DatabaseError: A DEFAULT partition has rows for it.
        sqlalchemy.exc.DBAPIError: PostgreSQL refused it for another reason.
    """
    statement = verbatim(f"SELECT {names.qualified(names.make_partition)}('{moment.astimezone(UTC).isoformat()}')")

    def call() -> str:
        with connection.begin():
            return str(connection.execute(statement).scalar_one())

    return attach_patiently(connection, names, moment, call)


def attach_patiently(connection: sa.Connection, names: Names, moment: datetime, attach: Callable[[], T]) -> T:
    """Call what attaches a partition for a moment, again where others hold the table.

    Raises:
        DatabaseError: A DEFAULT partition has rows for it.
        sqlalchemy.exc.DBAPIError: PostgreSQL refused it for another reason.
    """
    try:
        return patient(LOCK_ATTEMPTS, wait_random_exponential(multiplier=0.1, max=1))(attach)
    except DBAPIError as error:
        if sqlstate_of(error) != "23514":
            raise
        raise DatabaseError(_obstructed(connection, names, moment)) from None


def _obstructed(connection: sa.Connection, names: Names, moment: datetime) -> str:
    with connection.begin():
        defaults = [part.name for part in list_partitions(connection, names) if part.default]
    at = moment.astimezone(UTC).isoformat()
    return (
        f"no partition can be made for {at}: the default partition {' or '.join(defaults)}, which dblog did not make, "
        "has rows of that time; detach it, and insert its rows again"
    )

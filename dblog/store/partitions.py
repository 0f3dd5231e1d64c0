"""Partitions: which there are, which are due, and making them without ever blocking a writer."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from dblog.faults import sqlstate_of
from dblog.periods import PartitionBy, offsets_ahead
from dblog.store.engine import verbatim
from dblog.store.layout import layout_of
from dblog.store.names import Names, Table

LOCK_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as the catalogue knows it."""

    name: str
    table: Table
    start: datetime | None
    """The first moment it holds; None for no bound."""
    end: datetime | None
    """The first moment after it; None for no bound."""
    default: bool
    """True for a DEFAULT partition, which dblog never makes."""
    ours: bool
    """True where the comment says that dblog made it."""
    detaching: bool
    """True where a `DETACH ... CONCURRENTLY` was begun and not finished."""
    rows: int
    """The planner's estimate; 0 before the first ANALYZE."""
    size: int
    """Bytes on disk, with indexes."""

    def holds(self, moment: datetime) -> bool:
        """Whether a row of this moment belongs here."""
        if self.default:
            return False
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


def plan_ahead(
    existing: Iterable[Partition], now: datetime, granularity: PartitionBy, ahead: int
) -> tuple[datetime, ...]:
    """The moments for which a partition of the records or of the ledger is missing."""
    known = tuple(existing)
    moments = (now + offset for offset in offsets_ahead(granularity, ahead))
    return tuple(
        moment
        for moment in moments
        if not all(any(part.table == table and part.holds(moment) for part in known) for table in ("logs", "batches"))
    )


def list_partitions(connection: sa.Connection, names: Names) -> tuple[Partition, ...]:
    """Read the partitions of both tables from the catalogue, oldest first; the session must speak UTC."""
    parents = {"logs": names.qualified(names.logs), "batches": names.qualified(names.batches)}
    rows = connection.execute(_PARTITIONS, parents)
    return tuple(Partition(**row) for row in rows.mappings())


_PARTITIONS = sa.text(
    r"""
    SELECT c.relname AS name,
           p.kind AS "table",
           substring(bound FROM 'FROM [(]''([^'']+)''')\:\:timestamptz AS start,
           substring(bound FROM 'TO [(]''([^'']+)''')\:\:timestamptz AS end,
           bound = 'DEFAULT' AS default,
           coalesce(starts_with(obj_description(c.oid, 'pg_class'), 'dblog partition of '), false) AS ours,
           i.inhdetachpending AS detaching,
           greatest(c.reltuples, 0)\:\:bigint AS rows,
           pg_total_relation_size(c.oid) AS size
    FROM (VALUES ('logs', to_regclass(:logs)), ('batches', to_regclass(:batches))) AS p (kind, parent)
    JOIN pg_inherits i ON i.inhparent = p.parent
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bound
    ORDER BY p.kind DESC, start NULLS FIRST
    """
)


def server_now(connection: sa.Connection) -> datetime:
    """The clock of the server, which decides about partitions."""
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def make_ahead(connection: sa.Connection, names: Names, ahead: int) -> tuple[str, ...]:
    """Make the missing partitions of the next `ahead` periods, each in its own transaction.

    Waits for locks of others in short turns, so that no writer ever queues behind it.

    Returns:
        The names of the partitions of the records for which something was made.
    """
    with connection.begin():
        missing = plan_ahead(
            list_partitions(connection, names),
            server_now(connection),
            layout_of(connection, names).partition_by,
            ahead,
        )
    made = (make_partition(connection, names, moment) for moment in missing)
    return tuple(dict.fromkeys(made))


def make_partition(connection: sa.Connection, names: Names, moment: datetime) -> str:
    """Make the partitions that hold a moment where they are missing; returns the name of the one for the records."""
    at = moment.astimezone(UTC).isoformat()
    statement = verbatim(f"SELECT {names.qualified(names.make_partition)}('{at}')")
    retrying = Retrying(
        retry=retry_if_exception(is_lock_timeout),
        stop=stop_after_attempt(LOCK_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    )
    return retrying(_call, connection, statement)


def _call(connection: sa.Connection, statement: sa.TextClause) -> str:
    with connection.begin():
        return str(connection.execute(statement).scalar_one())


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a statement gave up waiting for somebody else's lock."""
    return isinstance(error, DBAPIError) and sqlstate_of(error) == "55P03"

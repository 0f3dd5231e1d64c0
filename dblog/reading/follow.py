"""Following the table by its ledger: what commits late is not missed, and nothing is repeated.

A record's timestamp, its id and the time of its insertion all come before its commit, so a reader that remembers the
last one of them misses what another transaction commits later. The ledger has a row for each batch, written by the
batch's own transaction, and that row carries the transaction's number. A poll asks for the ledger rows whose
transaction the previous poll's snapshot could not see: exactly those that were committed since.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from tenacity import Retrying, retry_if_exception_type, wait_exponential

from dblog.errors import DatabaseError, Unreachable
from dblog.reading.conditions import condition
from dblog.reading.query import CHUNK, Query, Record, records
from dblog.settings import DatabaseSettings
from dblog.store.engine import reading
from dblog.store.names import Names
from dblog.store.schema import batches_table, logs_table

GAP: Final = timedelta(seconds=10)
"""Batches whose times are closer than this are fetched with one query; others, say late ones, with their own."""

SPAN_BATCHES: Final = 1000
"""Batches that are fetched together at most: what a query has to carry and to look up."""

FIRST_RETRY: Final = 0.5
LAST_RETRY: Final = 10.0
"""Seconds between attempts to connect again: the first, doubled up to the last."""


@dataclass(frozen=True, slots=True)
class Span:
    """Delivered batches that lie close together in time, and the stretch of time that holds all their rows."""

    since: datetime
    until: datetime
    batches: tuple[tuple[UUID, int], ...]


class Follower:
    """What has been seen so far; outlives the connections that it is asked over.

    Every answer is fetched in full by one short transaction before it is handed out, so that neither a lost connection
    nor a slow reader can make a record appear twice, disappear, or hold a snapshot open on the server.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._snapshot = ""
        self._spans: deque[Span] = deque()
        self._after: tuple[datetime, int] | None = None

    @property
    def started(self) -> bool:
        """Whether the records to begin with were fetched."""
        return bool(self._snapshot)

    def start(self, connection: sa.Connection, names: Names) -> Sequence[Record]:
        """The newest records of the query; whatever is committed after them, `next` will bring.

        Raises:
            DatabaseError: The server is a standby, which does not know the transactions that are under way.
        """
        logs = logs_table(names)
        with connection.begin():
            if connection.scalar(sa.select(sa.func.pg_is_in_recovery())):
                raise DatabaseError("a standby cannot be followed: connect to the primary, or leave out --follow")
            snapshot = str(connection.scalar(sa.select(_snapshot_now())))
            last = list(records(connection, logs, self._query)) if self._query.limit else []
        self._snapshot = snapshot
        return last

    def next(self, connection: sa.Connection, names: Names) -> Sequence[Record]:
        """Up to `CHUNK` matching records that were committed since; empty when there are none now."""
        if not self._spans:
            self._look(connection, batches_table(names))
        while self._spans:
            page = self._page(connection, logs_table(names))
            if page:
                return page
        return []

    def _look(self, connection: sa.Connection, ledger: sa.Table) -> None:
        before = sa.cast(sa.literal(self._snapshot, sa.Text), _PgSnapshot())
        unseen = sa.select(ledger.c.writer_id, ledger.c.batch_seq, ledger.c.time_from, ledger.c.time_to).where(
            ledger.c.xact_id >= sa.func.pg_snapshot_xmin(before),
            sa.not_(sa.func.pg_visible_in_snapshot(ledger.c.xact_id, before)),
            ledger.c.time_from.is_not(None),
        )
        xmax = sa.func.pg_snapshot_xmax
        went_back = sa.not_(xmax(sa.func.pg_current_snapshot()) >= xmax(before))
        with connection.begin():  # REPEATABLE READ: both statements see by the same snapshot
            now, restored = connection.execute(sa.select(_snapshot_now(), went_back)).one()
            if restored:
                raise DatabaseError("the server was restored to an earlier state: what came since is not known")
            found = connection.execute(unseen.order_by(ledger.c.time_from)).all()
        self._spans.extend(gather(found))
        self._snapshot = now

    def _page(self, connection: sa.Connection, logs: sa.Table) -> Sequence[Record]:
        span = self._spans[0]
        with connection.begin():
            page = connection.execute(self._select(span, logs)).mappings().all()
        if len(page) < CHUNK:
            self._spans.popleft()
            self._after = None
        else:
            self._after = (page[-1]["timestamp"], page[-1]["id"])
        return page

    def _select(self, span: Span, logs: sa.Table) -> sa.Select[Any]:
        writers, numbers = zip(*span.batches, strict=True)
        wanted = (
            sa.func.unnest(
                sa.literal(list(writers), ARRAY(sa.Uuid())), sa.literal(list(numbers), ARRAY(sa.BigInteger()))
            )
            .table_valued(sa.column("writer_id", sa.Uuid()), sa.column("batch_seq", sa.BigInteger()), name="wanted")
            .render_derived()
        )
        since = self._after[0] if self._after else span.since
        statement = (
            sa.select(logs)
            .join(
                wanted,
                sa.and_(logs.c.writer_id == wanted.c.writer_id, logs.c.batch_seq == wanted.c.batch_seq),
            )
            .where(logs.c.timestamp.between(_moment(since), _moment(span.until)), condition(self._query.term, logs))
        )
        if self._after:
            position = sa.tuple_(_moment(self._after[0]), sa.literal(self._after[1], sa.BigInteger()))
            statement = statement.where(sa.tuple_(logs.c.timestamp, logs.c.id) > position)
        return statement.order_by(logs.c.timestamp, logs.c.id).limit(CHUNK)


def follow(
    settings: DatabaseSettings,
    query: Query,
    *,
    statement_timeout: float,
    pause: Callable[[], object],
    note: Callable[[str], None],
) -> Generator[Sequence[Record], None, None]:
    """The newest records of the query, then, for ever, those that are committed, as they come.

    Args:
        settings: Where the database is.
        query: The filter, and the window and number of the records to begin with. Later ones are shown whatever
            their timestamps: a batch that waited for the database arrives late.
        statement_timeout: Seconds that a statement may run on the server.
        pause: Called when nothing has come; returns when it is time to look again.
        note: Told in one line that the connection was lost, and that it is back.

    Raises:
        Unreachable: The first connection failed; later ones are tried again until they succeed.
        DatabaseError: PostgreSQL refused a statement.
    """
    follower = Follower(query)
    connect = partial(_connect, settings, statement_timeout)
    stack, connection, names = connect()
    while True:
        try:
            with stack:
                if not follower.started:
                    yield follower.start(connection, names)
                while True:
                    page = follower.next(connection, names)
                    if page:
                        yield page
                    else:
                        pause()
        except Unreachable as error:
            note(f"{error}; connecting again")
            stack, connection, names = _patient()(connect)
            note("connected again; nothing was missed")


def _connect(settings: DatabaseSettings, statement_timeout: float) -> tuple[ExitStack, sa.Connection, Names]:
    with ExitStack() as stack:
        connection, names = stack.enter_context(reading(settings, statement_timeout=statement_timeout))
        return stack.pop_all(), connection.execution_options(isolation_level="REPEATABLE READ"), names


def _patient() -> Retrying:
    return Retrying(retry=retry_if_exception_type(Unreachable), wait=wait_exponential(FIRST_RETRY, max=LAST_RETRY))


def gather(batches: Iterable[Sequence[Any]]) -> Iterator[Span]:
    """Gather batches, which come sorted by their beginning, into stretches of time without large gaps."""
    gathered: list[tuple[UUID, int]] = []
    since = until = None
    for writer, number, first, last in batches:
        apart = until is not None and first > until + GAP
        if since is not None and until is not None and (apart or len(gathered) == SPAN_BATCHES):
            yield Span(since, until, tuple(gathered))
            gathered, since, until = [], None, None
        gathered.append((writer, number))
        since, until = since or first, max(until or last, last)
    if since is not None and until is not None:
        yield Span(since, until, tuple(gathered))


class _PgSnapshot(sa.types.UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "pg_snapshot"


def _snapshot_now() -> sa.ColumnElement[str]:
    return sa.cast(sa.func.pg_current_snapshot(), sa.Text)


def _moment(moment: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, sa.TIMESTAMP(timezone=True))

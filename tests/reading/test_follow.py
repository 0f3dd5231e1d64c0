"""Following: nothing is missed, however late it commits, and nothing is repeated."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from records import at, insert
from servers import Database

from dblog import defaults
from dblog.config import load_settings
from dblog.embedded import EmbeddedServer
from dblog.errors import DatabaseError, Unreachable
from dblog.reading.filters import parse
from dblog.reading.follow import GAP, Follower, Span, follow, gather
from dblog.reading.query import CHUNK, Query
from dblog.reading.window import Window
from dblog.store.engine import reading
from dblog.store.migrate import prepare
from dblog.store.names import Names

TIMEOUT = 60.0
WRITERS = 6
BATCHES = 25


def query(text: str = "", limit: int = 10) -> Query:
    """The last records of a day."""
    return Query(parse(text), Window(at(days=1), at(days=-1)), limit)


class Watch:
    """A follower with its connection; collects messages."""

    def __init__(self, follower: Follower, connection: sa.Connection, names: Names) -> None:
        self._follower, self._connection, self._names = follower, connection, names
        self.begun_with = [row["message"] for row in follower.start(connection, names)]

    def new(self) -> list[str]:
        """What is new now, in the order in which it is shown."""
        return [row["message"] for page in iter(self._next, []) for row in page]

    def _next(self) -> list[sa.RowMapping]:
        return list(self._follower.next(self._connection, self._names))


@contextmanager
def watching(database: Database, asked: Query | None = None) -> Iterator[Watch]:
    """Follow a database."""
    with reading(database.settings.database) as (connection, names):
        repeatable = connection.execution_options(isolation_level="REPEATABLE READ")
        yield Watch(Follower(asked or query()), repeatable, names)


def test_it_begins_with_the_last_records(database: Database) -> None:
    """The last records of the window come first, and what is committed afterwards comes once."""
    with database.connect() as connection:
        insert(connection, *({"message": f"old {n}", "timestamp": at(minutes=9 - n)} for n in range(3)))
        with watching(database, query(limit=2)) as watch:
            assert watch.begun_with == ["old 1", "old 2"]
            assert watch.new() == []
            insert(connection, {"message": "new"})
            assert watch.new() == ["new"]
            assert watch.new() == []


def test_what_commits_late_is_shown(database: Database) -> None:
    """A transaction that inserted earlier but commits after others is shown when it commits, and only then."""
    with database.connect() as early, database.connect() as late, watching(database) as watch:
        with early.transaction():
            insert(early, {"message": "inserted first"})
            insert(late, {"message": "committed first"})
            assert watch.new() == ["committed first"]
            assert watch.new() == []
        insert(late, {"message": "third"})
        assert watch.new() == ["inserted first", "third"]
        assert watch.new() == []


def test_a_transaction_that_is_open_at_the_start_is_not_missed(database: Database) -> None:
    """What was inserted before the start and is committed after it is shown."""
    with database.connect() as connection:
        connection.autocommit = False
        insert(connection, {"message": "open at the start"})
        with watching(database) as watch:
            assert watch.begun_with == []
            assert watch.new() == []
            connection.commit()
            assert watch.new() == ["open at the start"]


def test_what_is_rolled_back_is_never_shown(database: Database) -> None:
    """A batch whose transaction fails does not appear, and does not hold up others."""
    with database.connect() as connection, watching(database) as watch:
        with connection.transaction(force_rollback=True):
            insert(connection, {"message": "never"})
        insert(connection, {"message": "kept"})
        assert watch.new() == ["kept"]


def test_a_late_batch_is_shown_whatever_its_time(database: Database) -> None:
    """A batch that waited for days in a spool is shown when it arrives, although its window is long past."""
    with database.connect() as connection, watching(database) as watch:
        insert(connection, {"message": "old", "timestamp": at(days=20)})
        insert(connection, {"message": "new"})
        assert watch.new() == ["old", "new"]


def test_the_filter_holds_for_what_arrives(database: Database) -> None:
    """Only matching records of a batch are shown."""
    with database.connect() as connection, watching(database, query("level>=error")) as watch:
        insert(connection, {"message": "fine"}, {"message": "bad", "level": "ERROR", "level_no": 40})
        assert watch.new() == ["bad"]


def test_more_than_a_page_comes_in_order(database: Database) -> None:
    """Batches of more rows than a page come complete, ordered by time across writers, each row once."""
    start = at(hours=1)
    count = CHUNK + 300
    with database.connect() as connection, watching(database) as watch:
        for writer in range(2):
            rows = (
                {"message": f"{n:05}.{writer}", "timestamp": start + timedelta(milliseconds=n)} for n in range(count)
            )
            insert(connection, *rows)
        found = watch.new()
    assert found == [f"{n:05}.{writer}" for n in range(count) for writer in range(2)]


def test_rows_of_other_batches_at_the_same_time_are_not_repeated(database: Database) -> None:
    """Rows that share a stretch of time with a new batch, but were shown already, stay away."""
    moment = at(minutes=1)
    with database.connect() as connection, watching(database) as watch:
        insert(connection, {"message": "first", "timestamp": moment})
        assert watch.new() == ["first"]
        insert(connection, {"message": "second", "timestamp": moment})
        assert watch.new() == ["second"]


def test_many_writers_are_followed_exactly(database: Database) -> None:
    """While many connections commit batches, half of them late, every record is shown exactly once."""
    pairs = [threading.Barrier(2, timeout=TIMEOUT) for _ in range(WRITERS // 2)]
    threads = [
        threading.Thread(target=_write, args=(database, number, pairs[number // 2])) for number in range(WRITERS)
    ]
    found: list[str] = []
    with watching(database) as watch:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            found += watch.new()
        for thread in threads:
            thread.join(TIMEOUT)
        found += watch.new()
    expected = [f"{number}.{batch}.{row}" for number in range(WRITERS) for batch in range(BATCHES) for row in range(3)]
    assert sorted(found) == sorted(expected)


def _write(database: Database, number: int, pair: threading.Barrier) -> None:
    """Commit batches; of each pair of writers one inserts first and commits last."""
    with database.connect() as connection:
        for batch in range(BATCHES):
            rows = [{"message": f"{number}.{batch}.{row}"} for row in range(3)]
            if number % 2:
                with connection.transaction():
                    insert(connection, *rows)
                    pair.wait()
                    pair.wait()
            else:
                pair.wait()
                insert(connection, *rows)
                pair.wait()


@pytest.fixture
def restartable(private_server: EmbeddedServer) -> str:
    """The DSN of a migrated database on a server that the test may restart."""
    dsn = private_server.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        prepare(
            connection,
            schema=None,
            table_prefix=defaults.TABLE_PREFIX,
            partition_by=defaults.PARTITION_BY,
            indexes=defaults.INDEXES,
            partitions_ahead=defaults.PARTITIONS_AHEAD,
        )
    return dsn


def test_a_restart_of_the_server_is_survived(private_server: EmbeddedServer, restartable: str) -> None:
    """After a restart it connects again, says so, and goes on with exactly what was committed meanwhile."""
    notes: list[str] = []
    settings = load_settings({}, dsn=restartable).database
    pause = threading.Event()
    pages = follow(settings, query(), statement_timeout=TIMEOUT, pause=lambda: pause.wait(0.01), note=notes.append)
    with closing(pages):
        assert list(next(pages)) == []
        _insert_one(restartable, "before")
        assert [row["message"] for row in next(pages)] == ["before"]
        private_server.restart()
        _insert_one(restartable, "after")
        assert [row["message"] for row in next(pages)] == ["after"]
    assert "connecting again" in notes[0]
    assert "connected again" in notes[-1]


def _insert_one(dsn: str, message: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        insert(connection, {"message": message})


def test_the_first_connection_has_to_succeed() -> None:
    """Where no server answers at the start, the error comes at once instead of endless attempts."""
    settings = load_settings({}, dsn="host=/nowhere dbname=x").database
    pages = follow(settings, query(), statement_timeout=TIMEOUT, pause=lambda: None, note=lambda _: None)
    with pytest.raises(Unreachable):
        next(pages)


def test_a_server_that_was_set_back_is_noticed(database: Database, restartable: str) -> None:
    """When the server's transactions are older than those seen, it ends with an error instead of missing records."""
    follower = Follower(query())
    with database.connect() as connection:
        connection.execute("DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    with reading(database.settings.database) as (connection, names):
        follower.start(connection, names)
    older = reading(load_settings({}, dsn=restartable).database)
    with older as (connection, names), pytest.raises(DatabaseError, match="restored to an earlier state"):
        follower.next(connection, names)


def test_batches_are_gathered_by_time() -> None:
    """Batches close in time are fetched together, distant ones apart, and no batch twice."""
    writer, start = UUID(int=1), at(hours=1)
    second = timedelta(seconds=1)
    batches = [
        (writer, 1, start, start + second),
        (writer, 2, start + second, start + 2 * second),
        (writer, 3, start + 2 * second + GAP, start + 3 * second + GAP),
        (writer, 4, start + 5 * second + 2 * GAP, start + 6 * second + 2 * GAP),
    ]
    assert list(gather(batches)) == [
        Span(start, start + 3 * second + GAP, ((writer, 1), (writer, 2), (writer, 3))),
        Span(start + 5 * second + 2 * GAP, start + 6 * second + 2 * GAP, ((writer, 4),)),
    ]

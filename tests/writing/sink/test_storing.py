"""A batch becomes rows and a line of the ledger, once, over a connection that is checked before it is used."""

import time
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from batches import NOW, WRITER, batch, keep_nothing, ledger, messages, store
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.columns import COLUMN_NAMES
from dblog.errors import NotMigrated
from dblog.sinks.postgres import PostgresSink

MakeSink = Callable[..., PostgresSink]


def test_a_batch_is_rows_and_a_line_of_the_ledger(make_sink: MakeSink, database: Database) -> None:
    """The rows and their ledger row appear together, with the figures that `dblog verify` needs."""
    sink = make_sink()
    store(sink, batch(1, "one", "two"))
    store(sink, batch(2))
    assert messages(database) == ["one", "two"]
    assert ledger(database) == [(1, 2, 0, False), (2, 0, 0, True)]
    with database.connect() as connection:
        row = connection.execute(
            "SELECT writer_id::text, service, hostname, process_id, accepted, time_from, time_to, birth_day "
            "FROM dblog_batches WHERE batch_seq = 1"
        ).fetchone()
    assert row is not None
    assert (row[0].replace("-", ""), *row[1:5]) == (WRITER, "shop's", "web-1", 42, 2)
    assert row[5] == row[6] == NOW
    assert row[7] == NOW.date()


def test_an_adopted_batch_speaks_for_its_own_writer(make_sink: MakeSink, database: Database) -> None:
    """The ledger has service, host and process of who logged, not of who delivers; without rows it cannot know."""
    sink = make_sink(writer_id="f" * 32)
    store(sink, batch(1, "left behind", fields={"service": "pay\\tments", "hostname": "web-2", "process_id": "7"}))
    store(sink, batch(2))
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT service, hostname, process_id FROM dblog_batches ORDER BY batch_seq"
        ).fetchall()
    assert rows == [("pay\tments", "web-2", 7), ("shop's", "web-1", 42)]


def test_a_batch_is_stored_once(make_sink: MakeSink, database: Database) -> None:
    """Sending a batch again, on the same or another connection, changes nothing and is no error."""
    first, second = make_sink(), make_sink()
    fresh = [sink.store(batch(1, "once"), [], keep_nothing) for sink in (first, first, second)]
    for sink in (first, first, second):
        store(sink, batch(2))
    assert fresh == [True, False, False]
    assert messages(database) == ["once"]
    assert len(ledger(database)) == 2


def test_a_lost_connection_is_replaced(make_sink: MakeSink, database: Database) -> None:
    """A connection that died while nobody looked costs no attempt."""
    sink = make_sink()
    store(sink, batch(1, "one"))
    with database.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'dblog'"
        )
    store(sink, batch(2, "two"))
    assert messages(database) == ["one", "two"]


def test_after_a_failure_the_same_batch_can_be_stored(make_sink: MakeSink, database: Database) -> None:
    """An attempt that a lock held up leaves nothing behind, and the next one succeeds on the same connection."""
    sink = make_sink()
    store(sink, batch(1, "one"))
    patient, sink.query_timeout = sink.query_timeout, 0.3
    with database.connect() as other, other.transaction():
        other.execute("LOCK TABLE dblog_logs")
        with pytest.raises((psycopg.errors.QueryCanceled, TimeoutError)):
            store(sink, batch(2, "two"))
    sink.query_timeout = patient
    store(sink, batch(2, "two"))
    assert messages(database) == ["one", "two"]


def test_missing_tables_are_named_with_their_remedy(empty_database: Database, make_sink: MakeSink) -> None:
    """Without tables, and without the right to make them, the error says what to run."""
    with pytest.raises(NotMigrated, match="`dblog init`"):
        store(make_sink(conninfo=empty_database.dsn), batch(1, "one"))


def test_inserting_is_all_a_writer_needs(make_sink: MakeSink, database: Database) -> None:
    """A role with INSERT on both tables and the function for partitions delivers, sets aside and makes partitions."""
    role = f"writer_{time.monotonic_ns()}"
    with database.connect() as owner:
        run = sql.SQL("CREATE ROLE {0} LOGIN PASSWORD 'pw'").format(sql.Identifier(role))
        owner.execute(run)
        try:
            owner.execute(sql.SQL("GRANT INSERT ON dblog_logs, dblog_batches TO {}").format(sql.Identifier(role)))
            owner.execute(sql.SQL("GRANT EXECUTE ON FUNCTION dblog_make_partition TO {}").format(sql.Identifier(role)))
            sink = make_sink(conninfo=make_conninfo(database.dsn, user=role, password="pw"))
            store(sink, batch(1, "one"))
            store(sink, batch(1, "one"))
            store(sink, batch(2, "two", moment=NOW + timedelta(days=25)))
            rejected = store(sink, batch(3, "bad", fields={"lineno": "x"}))
            sink.close()
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))
    assert messages(database) == ["one", "two"]
    assert len(rejected) == 1


def test_another_schema_and_prefix(database: Database, make_sink: MakeSink) -> None:
    """Names that need quoting, and a prefix beside another one, are written to as they are."""
    from dblog.store.migrate import prepare

    def make_tables(connection: psycopg.Connection) -> None:
        prepare(
            connection,
            schema='We "ird',
            table_prefix="app",
            partition_by="month",
            indexes="minimal",
            partitions_ahead=1,
        )

    store(make_sink(schema='We "ird', table_prefix="app", prepare=make_tables), batch(1, "weird"))
    with database.connect() as connection:
        found = connection.execute('SELECT message FROM "We ""ird".app_logs').fetchall()
    assert found == [("weird",)]
    assert messages(database) == []


def test_rows_of_another_release_are_stored_by_their_own_columns(make_sink: MakeSink, database: Database) -> None:
    """A batch whose rows have fewer fields, or another order, is copied by the columns that it names."""
    columns = ("message", "extra_data", *COLUMN_NAMES[:12])
    given = batch(1, "old", columns=tuple(dict.fromkeys(columns)), fields={"extra_data": '{"a": 1}'})
    assert store(make_sink(), given) == []
    with database.connect() as connection:
        found = connection.execute("SELECT message, extra_data, level, thread_name FROM dblog_logs").fetchall()
    assert found == [("old", {"a": 1}, "INFO", None)]


def test_a_session_that_cannot_serve_is_replaced(make_sink: MakeSink, database: Database) -> None:
    """After a refusal that somebody has to mend the next try has a new session, which sees what was mended."""
    role = f"writer_{time.monotonic_ns()}"
    name = sql.Identifier(role)
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(name))
        try:
            owner.execute(sql.SQL("GRANT INSERT ON dblog_logs, dblog_batches TO {}").format(name))
            owner.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
            sink = make_sink(make_conninfo(database.dsn, user=role, password="pw"))
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                store(sink, batch(1, "one"))
            owner.execute(sql.SQL("ALTER ROLE {} RESET default_transaction_read_only").format(name))
            store(sink, batch(1, "one"))
            sink.close()
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))
    assert messages(database) == ["one"]

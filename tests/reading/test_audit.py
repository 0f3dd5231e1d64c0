"""The rows against the ledger: what is missing, doubled, unknown or not yet there is found, and nothing else."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
from audits import accounts, note
from psycopg import sql
from records import at, insert
from servers import Database

from dblog.config import load_settings
from dblog.reading.audit import Fault, Faults, audit
from dblog.reading.window import Window
from dblog.store.engine import reading
from dblog.store.migrate import prepare


def close(connection: psycopg.Connection, writer: UUID, seq: int, accepted: int) -> None:
    """Add the row of the ledger that says that a writer ended."""
    connection.execute(
        "INSERT INTO dblog_batches (birth_day, writer_id, batch_seq, rows_stored, rows_rejected, accepted, closing, "
        "hostname, process_id) VALUES (%s, %s, %s, 0, 0, %s, true, 'web-1', 4242)",
        [datetime.now(UTC).date(), writer, seq, accepted],
    )


def delivered(connection: psycopg.Connection, writer: UUID, **before: float) -> None:
    """Set back the time at which the batches of a writer were delivered."""
    connection.execute("UPDATE dblog_batches SET created_at = %s WHERE writer_id = %s", [at(**before), writer])


def test_a_writer_that_delivered_everything_is_proven(database: Database, connection: psycopg.Connection) -> None:
    """Each batch has its rows, the numbers have no gap, the writer has closed: nothing is reported."""
    writer = insert(connection, {}, {}, {})
    insert(connection, {}, {}, writer=writer, seq=2)
    close(connection, writer, 3, accepted=5)
    (account,) = accounts(database)
    assert account.proven
    assert (account.writer_id, account.state, account.hostname, account.process_id) == (writer, "closed", "web-1", 4242)
    assert (account.batches, account.ledger_rows, account.table_rows, account.undelivered) == (3, 5, 5, 0)


def test_missing_rows_are_found(database: Database, connection: psycopg.Connection) -> None:
    """A row that was deleted, and a batch whose rows are all gone, are named with both counts."""
    writer = insert(connection, {"message": "gone"}, {}, {})
    insert(connection, {"message": "gone"}, {"message": "gone"}, writer=writer, seq=2)
    connection.execute("DELETE FROM dblog_logs WHERE message = 'gone'")
    (account,) = accounts(database)
    assert account.missing == Faults(2, 3, (Fault(1, 3, 2), Fault(2, 2, 0)))
    assert not account.proven


def test_a_doubled_row_is_found(database: Database, connection: psycopg.Connection) -> None:
    """A row that is there twice is more than the ledger says."""
    insert(connection, {}, {"message": "twice"})
    connection.execute(
        "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
        "SELECT writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message FROM dblog_logs "
        "WHERE message = 'twice'"
    )
    (account,) = accounts(database)
    assert account.doubled == Faults(1, 1, (Fault(1, 2, 3),))
    assert not account.proven


def test_a_batch_that_was_stored_under_two_days_is_found(database: Database, connection: psycopg.Connection) -> None:
    """The same number of the same writer is one batch, whatever day its key says."""
    writer = insert(connection, {})
    insert(connection, {}, writer=writer, seq=2)
    connection.execute("SELECT dblog_make_partition(now() - interval '1 day')")
    connection.execute("UPDATE dblog_batches SET birth_day = birth_day - 1 WHERE batch_seq = 2")
    insert(connection, {}, writer=writer, seq=2)
    (account,) = accounts(database)
    assert account.doubled == Faults(1, 1, (Fault(2, 1, 2),))
    assert account.gaps == 0


def test_rows_without_a_batch_are_found(database: Database, connection: psycopg.Connection) -> None:
    """Rows whose batch the ledger does not know are reported, also where nothing else was delivered in the window."""
    writer = insert(connection, {}, {})
    connection.execute("DELETE FROM dblog_batches")
    (account,) = accounts(database)
    assert (account.writer_id, account.unknown) == (writer, Faults(1, 2, (Fault(1, 0, 2),)))
    assert not account.proven
    assert (account.batches, account.last_heard, account.undelivered) == (0, None, None)


def test_gaps_are_found(database: Database, connection: psycopg.Connection) -> None:
    """Numbers from 1 to the highest that the ledger does not have are gaps: the batches may wait in a spool."""
    writer = insert(connection, {}, seq=3)
    for seq in (4, 6, 10):
        insert(connection, {}, writer=writer, seq=seq)
    (account,) = accounts(database)
    assert (account.gaps, account.gap_ranges) == (6, ((1, 2), (5, 5), (7, 9)))
    assert not account.proven


def test_a_gap_that_was_filled_before_the_window_is_none(database: Database, connection: psycopg.Connection) -> None:
    """The numbers are those of all batches of the writer, however old, and only the counts are of the window."""
    writer = insert(connection, {}, {}, seq=1)
    insert(connection, {}, writer=writer, seq=3)
    delivered(connection, writer, days=3)
    insert(connection, {}, writer=writer, seq=2)
    (account,) = accounts(database)
    assert account.proven
    assert (account.gaps, account.batches, account.ledger_rows, account.table_rows) == (0, 1, 1, 1)


def test_batches_outside_the_window_are_not_compared(database: Database, connection: psycopg.Connection) -> None:
    """Rows of a batch that was delivered earlier are neither unknown nor compared, wherever they stand."""
    writer = insert(connection, {"message": "gone"}, {})
    connection.execute("DELETE FROM dblog_logs WHERE message = 'gone'")
    delivered(connection, writer, days=3)
    insert(connection, {})
    (account,) = accounts(database)
    assert account.proven
    assert account.writer_id != writer
    assert [account.missing.rows for account in accounts(database, days=4)] == [0, 1]


def test_a_late_batch_is_compared_where_its_rows_are(database: Database, connection: psycopg.Connection) -> None:
    """A batch that waited in a spool for weeks is looked up at the times of its records."""
    late = insert(connection, {"timestamp": at(days=20)}, {"timestamp": at(days=20), "message": "gone"}, {})
    insert(connection, {})
    assert all(account.proven for account in accounts(database))
    connection.execute("DELETE FROM dblog_logs WHERE message = 'gone'")
    (account,) = [account for account in accounts(database) if not account.proven]
    assert (account.writer_id, account.missing.examples) == (late, (Fault(1, 3, 2),))


def test_one_writer_may_be_asked_for(database: Database, connection: psycopg.Connection) -> None:
    """Neither batches nor rows nor records of losses of others are looked at then."""
    writer = insert(connection, {})
    insert(connection, {})
    connection.execute("DELETE FROM dblog_batches WHERE writer_id <> %s", [writer])
    note(connection, event="losses", writer_id=uuid4().hex, dropped={"20": 1})
    assert [account.writer_id for account in accounts(database, writer)] == [writer]
    assert len(accounts(database)) == 4


def test_only_the_first_faults_are_named(database: Database, connection: psycopg.Connection) -> None:
    """However many batches are at fault, ten are named and all are counted."""
    writer = insert(connection, {})
    for seq in range(2, 51, 2):
        insert(connection, {}, writer=writer, seq=seq)
    connection.execute("DELETE FROM dblog_logs")
    (account,) = accounts(database)
    assert (account.missing.batches, len(account.missing.examples)) == (26, 10)
    assert (account.gaps, len(account.gap_ranges)) == (24, 10)


def test_an_empty_table_has_no_accounts(database: Database) -> None:
    """Where nothing was delivered, there is nobody to report on."""
    assert accounts(database) == ()


def test_only_the_partitions_of_the_batches_are_read(database: Database, connection: psycopg.Connection) -> None:
    """An audit of a day does not even touch old partitions: nobody who works on them keeps it waiting."""
    delivered(connection, insert(connection, {"timestamp": at(days=20)}), days=20)
    insert(connection, {})
    insert(connection, {"timestamp": at(days=40)})
    old = f"dblog_logs_p{at(days=20):%Y%m%d}"
    with database.connect() as other, other.transaction():
        other.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(old)))
        assert len(accounts(database)) == 2


def test_any_schema_can_be_audited(empty_database: Database) -> None:
    """Whatever characters the names of the tables have, they are quoted."""
    schema = 'Log: %s {x} :since "quoted"'
    with empty_database.connect() as connection:
        prepare(
            connection, schema=schema, table_prefix="dblog", partition_by="day", indexes="minimal", partitions_ahead=1
        )
    settings = load_settings({"database": {"schema": schema}}, dsn=empty_database.dsn).database
    with reading(settings) as (reader, names):
        assert audit(reader, names, Window(at(days=1), at(days=-1)), uuid4()) == ()

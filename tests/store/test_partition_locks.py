"""Making partitions never blocks a writer, and is not blocked for long itself."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest
import sqlalchemy as sa
from eventually import PATIENCE
from partitioned import now_of, of
from psycopg import sql
from servers import Database

from dblog.store import locks, partitions
from dblog.store.locks import is_lock_timeout
from dblog.store.names import Names
from dblog.store.partitions import make_partition

WRITER = "11111111-1111-4111-8111-111111111111"


def test_writers_are_never_blocked(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """Partitions are made at once while a COPY is open and a cursor reads the table, and both go on undisturbed."""
    connection, names = kept
    now = now_of(connection)
    columns = sql.SQL("writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message")
    line = f"{WRITER}\t1\t{now.isoformat()}\t20\tINFO\tapp\thost\ttext\n"
    with database.connect() as writer, database.connect() as reader:
        with writer.transaction(), reader.transaction():
            reader.execute("DECLARE rows CURSOR FOR SELECT * FROM dblog_logs")
            with writer.cursor().copy(sql.SQL("COPY dblog_logs ({}) FROM STDIN").format(columns)) as copy:
                copy.write(line)
                with connection.begin():
                    connection.execute(sa.text("SET LOCAL lock_timeout = '30s'"))
                    made = connection.scalar(
                        sa.text("SELECT dblog_make_partition(:at)"), {"at": now - timedelta(days=30)}
                    )
                copy.write(line)
            reader.execute("FETCH ALL FROM rows")
        assert writer.execute("SELECT count(*) FROM dblog_logs").fetchone() == (2,)
    assert any(found.name == made for found in of(connection, names, "logs"))


def test_many_may_make_the_same_partition_at_once(database: Database) -> None:
    """Eight sessions that ask for the same moments at the same time all get the same names, and none an error."""
    start = Barrier(8)

    def ask() -> list[str]:
        with database.connect() as connection:
            start.wait(PATIENCE)
            return [
                connection.execute("SELECT dblog_make_partition(now() - %s * interval '1 day')", [days]).fetchall()[0][
                    0
                ]
                for days in range(40, 44)
            ]

    with ThreadPoolExecutor(8) as pool:
        answers = [done.result(PATIENCE) for done in [pool.submit(ask) for _ in range(8)]]
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == 4


def test_a_lock_that_is_held_for_a_moment_is_waited_for(
    kept: tuple[sa.Connection, Names], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody else holds the table, making a partition gives up in time, tries again, and succeeds."""
    connection, names = kept
    moment = now_of(connection) - timedelta(days=60)
    refusals = []
    with database.connect() as other:
        other.execute("ALTER FUNCTION dblog_make_partition SET lock_timeout = '20ms'")
        other.execute("BEGIN")
        other.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE")

        def note(error: BaseException) -> bool:
            refusals.append(error)
            other.rollback()
            return is_lock_timeout(error)

        monkeypatch.setattr(locks, "is_lock_timeout", note)
        made = make_partition(connection, names, moment)
    assert len(refusals) == 1
    assert any(found.name == made for found in of(connection, names, "logs"))


def test_a_lock_that_is_never_released_is_an_error(
    kept: tuple[sa.Connection, Names], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its attempts it gives up, so that nobody queues behind it for long."""
    connection, names = kept
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS", 2)
    moment = now_of(connection) - timedelta(days=60)
    with database.connect() as other:
        other.execute("ALTER FUNCTION dblog_make_partition SET lock_timeout = '20ms'")
        with other.transaction():
            other.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(sa.exc.DBAPIError) as caught:
                make_partition(connection, names, moment)
    assert is_lock_timeout(caught.value)


def test_a_partition_that_is_being_detached_is_not_passed_off_as_there(database: Database) -> None:
    """For a moment whose partition is half detached the function asks to try again, since no row would fit."""
    with database.connect() as connection, database.connect() as reader:
        name = connection.execute("SELECT dblog_make_partition(now() - interval '80 days')").fetchall()[0][0]
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            connection.execute("SET lock_timeout = '20ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(
                    sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {} CONCURRENTLY").format(sql.Identifier(name))
                )
        with pytest.raises(psycopg.errors.LockNotAvailable, match="being detached"):
            connection.execute("SELECT dblog_make_partition(now() - interval '80 days')")

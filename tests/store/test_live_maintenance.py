"""Partitions come and go while others write and read: nobody waits for it, and nothing stays half done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest
import sqlalchemy as sa
from crashes import killed_at_each_statement
from migrated import prepare
from partitioned import now_of, of
from psycopg import sql
from servers import Database
from upgraded import catalogue
from writers import Writers

from dblog.store import retention
from dblog.store.engine import keeping
from dblog.store.expiry import find_expired
from dblog.store.names import Names
from dblog.store.partitions import list_partitions, make_ahead, make_partition, server_now
from dblog.store.policy import Policy
from dblog.store.retention import prune

DAY = timedelta(days=1)


class Watch:
    """Looks again and again at which session waits for which, and remembers who waited for a session of ours."""

    def __init__(self, database: Database) -> None:
        self.looks = 0
        self.waited: set[int] = set()
        self._database = database

    @contextmanager
    def over(self, writers: Writers) -> Iterator["Watch"]:
        """Watch the writers until the end of the block, and at least once more after it."""
        stop = Event()
        watching = Thread(target=self._look, args=(writers, stop))
        watching.start()
        try:
            yield self
        finally:
            stop.set()
            watching.join()

    def _look(self, writers: Writers, stop: Event) -> None:
        with self._database.connect() as connection:
            while not stop.is_set() or not self.looks:
                found = connection.execute(
                    "SELECT pid FROM pg_stat_activity AS writer WHERE pid = ANY (%s) AND EXISTS (SELECT FROM "
                    "pg_stat_activity AS ours WHERE ours.application_name = 'dblog' "
                    "AND ours.pid = ANY (pg_blocking_pids(writer.pid)))",
                    [[*writers.pids]],
                ).fetchall()
                self.waited.update(pid for (pid,) in found)
                self.looks += 1


def run_prune(connection: sa.Connection, names: Names) -> dict[str, str]:
    """What becomes of which table when everything older than a year goes."""
    expiry = find_expired(connection, names, Policy(365))
    return {removal.name: removal.action for removal in prune(connection, names, expiry)}


def test_writers_never_wait_for_maintenance(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While four sessions copy without a pause and a transaction has read the table, partitions are made and dropped.

    No writer is ever seen waiting for a session of ours; what the reader keeps from going is gone after the next run.
    """
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "500ms")
    monkeypatch.setattr(retention, "FINALIZE_TIMEOUT", "20ms")
    monkeypatch.setattr(retention, "FINALIZE_ATTEMPTS", 2)
    watch = Watch(database)
    with keeping(database.settings.database) as (connection, names):
        now = now_of(connection)
        old = [make_partition(connection, names, now - days * DAY) for days in (370, 371)]
        with database.connect() as reader, Writers(database, 4) as writers, watch.over(writers):
            with reader.transaction():
                reader.execute("SELECT count(*) FROM dblog_logs")
                assert run_prune(connection, names)[old[1]] == "waiting"
                assert len(make_ahead(connection, names, 14)) == 7
                new = make_partition(connection, names, now - 100 * DAY)
                assert run_prune(connection, names)[old[1]] == "waiting"
                writers.wait_for_batches(2)
            monkeypatch.undo()
            finished = run_prune(connection, names)
            writers.wait_for_batches(2)
        assert {finished[name] for name in old} == {"dropped"}
        assert not watch.waited
        assert watch.looks > 5
        found = of(connection, names, "logs")
    assert new in {part.name for part in found}
    assert not [part for part in found if part.detaching]
    assert writers.stored() == writers.committed()


def test_a_half_detached_partition_stops_neither_the_others_nor_the_records(database: Database) -> None:
    """While an expired partition is half detached, others are made; for its own time none is made any more."""
    with keeping(database.settings.database) as (connection, names):
        moment = now_of(connection) - 370 * DAY
        name = sql.Identifier(make_partition(connection, names, moment))
        with database.connect() as reader, database.connect() as pruner:
            pruner.execute(
                sql.SQL("COMMENT ON TABLE {} IS 'dblog partition of public.dblog_logs, expired'").format(name)
            )
            with reader.transaction():
                reader.execute("SELECT count(*) FROM dblog_logs")
                pruner.execute("SET lock_timeout = '20ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    pruner.execute(sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {} CONCURRENTLY").format(name))
                assert len(make_ahead(connection, names, 9)) == 2
                assert make_partition(connection, names, moment - 2 * DAY)
                with pytest.raises(sa.exc.DBAPIError) as refused:
                    make_partition(connection, names, moment)
    assert getattr(refused.value.orig, "sqlstate", None) == "22008"


def test_a_default_partition_in_the_way_is_named(database: Database) -> None:
    """Rows that a DEFAULT partition of somebody else has taken keep one partition from being made, and no other."""
    with keeping(database.settings.database) as (connection, names):
        now = now_of(connection)
        with database.connect() as stranger:
            stranger.execute("CREATE TABLE catchall (LIKE dblog_logs INCLUDING ALL EXCLUDING IDENTITY)")
            stranger.execute("ALTER TABLE dblog_logs ATTACH PARTITION catchall DEFAULT")
            stranger.execute(
                "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, "
                "message) VALUES (gen_random_uuid(), 1, %s, 20, 'INFO', 'app', 'host', 'text')",
                [now + 8 * DAY],
            )
        with pytest.raises(Exception, match="default partition catchall, which dblog did not make, has rows"):
            make_ahead(connection, names, 10)
        found = of(connection, names, "logs")
    assert [any(part.holds(now + days * DAY) for part in found) for days in (7, 8, 9, 10)] == [True, False, True, True]


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.torture)])
def test_killed_at_any_statement_the_next_run_makes_the_rest(empty_database: Database, every: int) -> None:
    """Whatever statement of making partitions is the last one of a process, the next run leads to the same tables."""
    prepare(empty_database)

    def action() -> tuple[str, ...]:
        with keeping(empty_database.settings.database) as (connection, names):
            return make_ahead(connection, names, 4)

    def take_back() -> None:
        with keeping(empty_database.settings.database) as (connection, names), connection.begin():
            now = server_now(connection)
            for part in list_partitions(connection, names):
                if part.start is not None and part.start > now + 2 * DAY:
                    connection.execute(sa.text(f"DROP TABLE {names.qualified(part.name)}"))

    action()
    expected = catalogue(empty_database)
    take_back()
    points = 0
    for points in killed_at_each_statement(action, every):  # noqa: B007 - the number of the last one is looked at
        action()
        assert catalogue(empty_database) == expected
        take_back()
    assert points > 10

"""Changing the indexes of tables that are in use."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from crashes import killed_at_each_statement
from eventually import eventually
from migrated import prepare
from partitioned import now_of
from psycopg import sql
from servers import Database
from upgraded import catalogue

from dblog.errors import DatabaseError
from dblog.fields import IndexProfile
from dblog.store import indexing
from dblog.store.engine import keeping
from dblog.store.indexing import Step, change_indexes, plan
from dblog.store.indexstate import Index, indexes_of, wanted_by
from dblog.store.layout import layout_of
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions, make_partition

DAY = timedelta(days=1)


def part(name: str, *, ours: bool = True, detaching: bool = False) -> Partition:
    """A partition of the records."""
    return Partition(name, "logs", datetime(2026, 11, 21, tzinfo=UTC), None, False, ours, detaching, 0, 0)


def change(database: Database, profile: IndexProfile) -> list[Step]:
    """Bring the indexes of a database to a profile; returns the steps."""
    with keeping(database.settings.database) as (connection, names):
        return [step for step, _ in change_indexes(connection, names, profile)]


def state(database: Database) -> tuple[dict[str, bool], list[str], str]:
    """The parent's indexes with their validity, indexes of partitions that belong to none, and the profile noted."""
    with keeping(database.settings.database) as (connection, names), connection.begin():
        found = indexes_of(connection, names)
        parents = {index.name.removeprefix("dblog_logs_"): index.valid for index in found if index.table == names.logs}
        strays = [index.name for index in found if index.table != names.logs and index.parent is None]
        return parents, strays, layout_of(connection, names).indexes


def test_plan_builds_oldest_first_and_drops_last() -> None:
    """What is missing is defined and built for each partition of dblog's own; only then what is surplus goes."""
    found = (Index("logs_a", "logs", "a", True, None), Index("p1_a", "p1", "a", True, "logs_a"))
    partitions = (part("p1"), part("p2"), part("leaving", detaching=True), part("foreign", ours=False))
    assert plan({"logs_b": "b"}, found, {"logs_a", "logs_b"}, partitions, "logs") == (
        Step("define", "logs_b", "b"),
        Step("build", "logs_b", "b", "p1"),
        Step("build", "logs_b", "b", "p2"),
        Step("drop", "logs_a"),
    )


def test_plan_goes_on_where_a_run_was_cut_short() -> None:
    """What was attached already is left alone, and nothing that is complete is touched; others' indexes stay."""
    found = (
        Index("logs_a", "logs", "a", False, None),
        Index("p1_a", "p1", "a", True, "logs_a"),
        Index("p2_a", "p2", "a", False, None),
        Index("by_hand", "logs", "x", True, None),
    )
    partitions = (part("p1"), part("p2"))
    assert plan({"logs_a": "a"}, found, {"logs_a"}, partitions, "logs") == (Step("build", "logs_a", "a", "p2"),)
    assert plan({"logs_a": "a"}, found[:2], {"logs_a"}, partitions[:1], "logs") == ()


def test_plan_replaces_an_index_of_another_definition() -> None:
    """An index that has the name and not the definition serves under another name until the new one is complete."""
    found = (Index("logs_a", "logs", "old", True, None), Index("p1_a", "p1", "old", True, "logs_a"))
    steps = (
        Step("set aside", "logs_a"),
        Step("define", "logs_a", "new"),
        Step("build", "logs_a", "new", "p1"),
        Step("drop", "logs_a_old"),
    )
    assert plan({"logs_a": "new"}, found, {"logs_a", "logs_a_old"}, (part("p1"),), "logs") == steps
    left = (*found, Index("logs_a_old", "logs", "older", True, None))
    assert plan({"logs_a": "new"}, left, {"logs_a", "logs_a_old"}, (part("p1"),), "logs") == (
        Step("drop", "logs_a_old"),
        *steps,
    )


@pytest.fixture
def small(empty_database: Database) -> Database:
    """A database with three partitions."""
    prepare(empty_database)
    return empty_database


def test_every_profile_can_be_reached_from_every_other(small: Database) -> None:
    """After a change the indexes are valid, equal those of new tables, and a second run finds nothing to do."""
    for profile in ("full", "minimal", "standard"):
        assert change(small, profile)
        assert change(small, profile) == []
        parents, strays, noted = state(small)
        with keeping(small.settings.database) as (connection, names):
            assert parents.keys() == {
                name.removeprefix("dblog_logs_") for name in wanted_by(connection, names, profile)
            }
            later = make_partition(connection, names, now_of(connection) + 10 * DAY)
            with connection.begin():
                attached = {index.parent for index in indexes_of(connection, names) if index.table == later}
        assert attached == {f"dblog_logs_{name}" for name in parents}
        assert all(parents.values())
        assert (strays, noted) == ([], profile)


def test_an_index_of_another_definition_is_replaced(small: Database) -> None:
    """Tables that an earlier release made get the indexes that the profile has today."""
    with small.connect() as connection:
        connection.execute("DROP INDEX dblog_logs_by_logger")
        connection.execute("CREATE INDEX dblog_logs_by_logger ON dblog_logs (logger_name)")
    assert [step.action for step in change(small, "standard")] == ["set aside", "define", *["build"] * 3, "drop"]
    parents, strays, _ = state(small)
    assert all(parents.values())
    assert "by_logger_old" not in parents
    assert strays == []
    assert change(small, "standard") == []


def test_what_a_cancelled_build_left_behind_is_built_again(small: Database) -> None:
    """An index that CREATE INDEX CONCURRENTLY left invalid is thrown away and built anew."""
    change(small, "minimal")
    with keeping(small.settings.database) as (connection, names):
        definition = wanted_by(connection, names, "standard")["dblog_logs_by_logger"]
        table = next(iter(plan_of(connection, names)))
    with small.connect() as reader, small.connect() as builder, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM dblog_logs")
        builder.execute("SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            builder.execute(f"CREATE INDEX CONCURRENTLY ON {table} USING {definition}".encode())
    assert len(state(small)[1]) == 1
    change(small, "standard")
    parents, strays, _ = state(small)
    assert all(parents.values())
    assert strays == []


def plan_of(connection: sa.Connection, names: Names) -> list[str]:
    """The partitions of the records."""
    with connection.begin():
        return [found.name for found in list_partitions(connection, names) if found.table == "logs"]


def test_partitions_of_others_are_left_alone(small: Database) -> None:
    """A table that was attached by hand gets no index, and an index that was made by hand stays."""
    with small.connect() as connection:
        connection.execute("CREATE INDEX by_hand ON dblog_logs (process_id)")
        connection.execute("CREATE TABLE archive (LIKE dblog_logs INCLUDING ALL EXCLUDING IDENTITY)")
        connection.execute(
            "ALTER TABLE dblog_logs ATTACH PARTITION archive FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')"
        )
        before = connection.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'archive'::regclass").fetchone()
        assert not [step for step in change(small, "full") if step.partition == "archive"]
        assert connection.execute("SELECT to_regclass('by_hand') IS NULL").fetchone() == (False,)
        change(small, "standard")
        after = connection.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'archive'::regclass").fetchone()
    assert before
    assert after
    assert after[0] <= before[0]


def test_one_process_at_a_time(small: Database) -> None:
    """A second run beside the first is refused with a clear line, and works after it."""
    with keeping(small.settings.database) as (connection, names):
        running = change_indexes(connection, names, "full")
        next(running)
        with pytest.raises(DatabaseError, match="another process is changing the indexes"):
            change(small, "full")
        assert [*running]
    assert change(small, "full") == []


def test_who_is_in_the_way_is_named(small: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others never let go of the table, the error names their processes, and the next run does what is left."""
    monkeypatch.setattr(indexing, "SHORT", "20ms")
    monkeypatch.setattr(indexing, "SHORT_ATTEMPTS", 2)
    with small.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_logs")
        with pytest.raises(DatabaseError, match=rf"server processes: {reader.info.backend_pid}\b"):
            change(small, "minimal")
    change(small, "minimal")
    assert state(small) == ({}, [], "minimal")


@pytest.mark.parametrize("every", [43, pytest.param(1, marks=pytest.mark.torture)])
def test_killed_at_any_statement_the_next_run_finishes(small: Database, every: int) -> None:
    """Whatever statement of a whole change is the last one of a process, the next run leads to the same indexes."""
    change(small, "minimal")
    with small.connect() as connection:  # two partitions are enough to be in the middle of something
        (name,) = connection.execute(
            "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'dblog_logs'::regclass"
        ).fetchall()[0]
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    change(small, "standard")
    expected = catalogue_of_indexes(small)
    change(small, "minimal")
    points = 0
    for points in killed_at_each_statement(lambda: change(small, "standard"), every):  # noqa: B007 - the last counts
        wait_for_the_dead(small)
        change(small, "standard")
        assert catalogue_of_indexes(small) == expected
        parents, strays, _ = state(small)
        assert all(parents.values())
        assert strays == []
        change(small, "minimal")
    assert points > 100


def catalogue_of_indexes(database: Database) -> list[tuple[object, ...]]:
    """What the catalogue says, without the names of the partitions' indexes, which the server chooses."""
    return [row for row in catalogue(database) if "_p2" not in str(row)]


def wait_for_the_dead(database: Database) -> None:
    """Until the server has noticed that its client was killed, the lock of the dead process keeps others out."""

    def gone() -> bool:
        with database.connect() as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        return row == (0,)

    eventually(gone, "the end of the dead process's session")

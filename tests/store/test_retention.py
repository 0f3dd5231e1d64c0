"""Retention: what goes, what stays, and that nobody waits for it."""

from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from servers import Database

from dblog.errors import DblogError
from dblog.store import retention
from dblog.store.engine import keeping
from dblog.store.expiry import Removal, find_expired, planned
from dblog.store.migrate import prepare
from dblog.store.names import Names
from dblog.store.partitions import list_partitions, make_partition, server_now
from dblog.store.policy import Policy
from dblog.store.retention import prune


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up waiting for locks at once."""
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(retention, "FINALIZE_TIMEOUT", "20ms")
    monkeypatch.setattr(retention, "FINALIZE_ATTEMPTS", 2)


def make_old(connection: sa.Connection, names: Names, *days: int) -> list[str]:
    """Make the partitions of days in the past; returns the names of those of the records."""
    with connection.begin():
        now = server_now(connection)
    return [make_partition(connection, names, now - timedelta(days=day)) for day in days]


def tables(database: Database) -> set[str]:
    """The tables of the database, attached or not."""
    with database.connect() as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')").fetchall()
    return {name for (name,) in rows}


def run(kept: tuple[sa.Connection, Names], days: int = 365, *, force: bool = False) -> dict[str, Removal]:
    """Prune; returns what became of what."""
    expiry = find_expired(*kept, Policy(days))
    return {removal.name: removal for removal in prune(*kept, expiry, force=force)}


def test_expired_partitions_are_dropped(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """What is older than the retention is gone, with its day of the ledger; what is younger stays with its rows."""
    old, young = make_old(*kept, 367, 300)
    removals = run(kept)
    assert removals[old].action == "dropped"
    assert removals[old].size > 0
    assert old not in tables(database)
    assert young in tables(database)
    assert {name for name in removals if "batches" in name} == {
        old.replace("logs", "batches"),
        young.replace("logs", "batches"),
    }
    assert run(kept) == {}


def test_planned_shows_what_prune_drops(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """The dry run names the tables of the real run and changes nothing."""
    make_old(*kept, 367, 380)
    before = tables(database)
    shown = {removal.name for removal in planned(*kept, find_expired(*kept, Policy(365)))}
    assert tables(database) == before
    assert shown == set(run(kept))
    assert tables(database) == before - shown


def test_a_partition_of_somebody_else_stays(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A partition that was attached by hand, and a table that was detached by hand, are not dblog's to drop."""
    detached, *_ = make_old(*kept, 370)
    with database.connect() as connection:
        connection.execute("CREATE TABLE archive (LIKE dblog_logs INCLUDING ALL EXCLUDING IDENTITY)")
        connection.execute(
            "ALTER TABLE dblog_logs ATTACH PARTITION archive FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')"
        )
        connection.execute(sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {}").format(sql.Identifier(detached)))
    run(kept)
    assert {"archive", detached} <= tables(database)


def test_beside_a_default_partition_nothing_is_dropped_and_it_is_named(
    kept: tuple[sa.Connection, Names], database: Database
) -> None:
    """Where PostgreSQL would refuse to detach, also the dry run names what has to go first, and nothing fails."""
    old, *_ = make_old(*kept, 370)
    with database.connect() as stranger:
        stranger.execute("CREATE TABLE rest PARTITION OF dblog_logs DEFAULT")
        shown = {removal.name: removal for removal in planned(*kept, find_expired(*kept, Policy(365)))}
        assert (shown[old].action, "default partition rest" in shown[old].note) == ("would keep", True)
        assert shown[old.replace("logs", "batches")].action == "would drop"
        removals = run(kept)
        assert (removals[old].action, "default partition rest" in removals[old].note) == ("kept", True)
        stranger.execute("DROP TABLE rest")
    assert run(kept)[old].action == "dropped"


def test_dropping_most_of_the_table_needs_force(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A retention or a clock that would take more than half of the partitions is refused, unless forced."""
    old = make_old(*kept, *range(370, 380))
    with pytest.raises(DblogError, match=r"more than half.*--force"):
        run(kept)
    assert set(old) <= tables(database)
    assert set(old) <= set(run(kept, force=True))
    assert not set(old) & tables(database)


def test_a_reader_is_not_disturbed(kept: tuple[sa.Connection, Names], database: Database, impatient: None) -> None:
    """A partition that a query still reads waits, its reader is named, writers go on, and the next run finishes it."""
    old, older = make_old(*kept, 370, 371)
    with database.connect() as reader, database.connect() as writer:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            removals = run(kept)
            assert removals[older].action == removals[old].action == "waiting"
            assert reader.info.backend_pid in removals[old].blockers
            writer.execute("SET lock_timeout = '30s'")
            writer.execute(
                "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, "
                "message) VALUES (gen_random_uuid(), 1, now(), 20, 'INFO', 'app', 'host', 'text')"
            )
            writer.execute("SELECT dblog_make_partition(now() - interval '99 days')")
            assert run(kept)[older].action == "waiting"
        finished = run(kept)
    assert finished[old].action == finished[older].action == "dropped"
    assert not {old, older} & tables(database)


def test_a_locked_partition_keeps_no_other_from_going(
    kept: tuple[sa.Connection, Names], database: Database, impatient: None
) -> None:
    """What cannot be marked, or is detached and cannot be dropped, waits alone, and is finished by the next run."""
    older, old, young = make_old(*kept, 371, 370, 90)
    dropped = "COMMENT ON TABLE {0} IS 'dblog partition of public.dblog_logs, expired';"
    with database.connect() as owner:
        owner.execute(sql.SQL(f"{dropped} ALTER TABLE dblog_logs DETACH PARTITION {{0}}").format(sql.Identifier(young)))
        with owner.transaction():
            owner.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(older)))
            owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(young)))
            removals = run(kept)
            assert {name: removals[name].action for name in (young, older, old)} == {
                young: "waiting",
                older: "waiting",
                old: "dropped",
            }
            assert removals[older].blockers == removals[young].blockers == (owner.info.backend_pid,)
    assert {removal.action for removal in run(kept).values()} == {"dropped"}


def test_an_interrupted_run_is_finished_by_the_next(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A table that was marked and detached, and then not dropped, goes with the next run."""
    old, *_ = make_old(*kept, 370)
    with database.connect() as connection:
        connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS 'dblog partition of public.dblog_logs, expired'").format(
                sql.Identifier(old)
            )
        )
        connection.execute(sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {}").format(sql.Identifier(old)))
    assert [left.name for left in find_expired(*kept, Policy(365)).leftovers] == [old]
    assert run(kept)[old].action == "dropped"
    assert old not in tables(database)


def test_a_run_interrupted_before_the_detach_is_begun_again(
    kept: tuple[sa.Connection, Names], database: Database
) -> None:
    """A partition that was marked and is still attached is detached first: dropping it as it is would block writers."""
    old, *_ = make_old(*kept, 370)
    with database.connect() as connection:
        mark = "COMMENT ON TABLE {} IS 'dblog partition of public.dblog_logs, expired'"
        connection.execute(sql.SQL(mark).format(sql.Identifier(old)))
    expiry = find_expired(*kept, Policy(365))
    assert expiry.leftovers == ()
    assert old in {found.name for found in expiry.due}
    assert run(kept)[old].action == "dropped"
    assert old not in tables(database)


def test_a_mark_without_a_detach_is_taken_back(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A partition that expired under a shorter retention, and is detached by hand later in order to keep it, stays."""
    young, *_ = make_old(*kept, 90)
    with database.connect() as connection:
        mark = "COMMENT ON TABLE {} IS 'dblog partition of public.dblog_logs, expired'"
        connection.execute(sql.SQL(mark).format(sql.Identifier(young)))
        assert young not in run(kept)
        connection.execute(sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {}").format(sql.Identifier(young)))
    assert young not in run(kept)
    assert young in tables(database)


def test_a_detach_begun_by_hand_is_finished_and_its_table_kept(
    kept: tuple[sa.Connection, Names], database: Database
) -> None:
    """A pending detach stands in the way of every other, so it is finished, but what is not expired is not dropped."""
    young, old = make_old(*kept, 90, 370)
    with database.connect() as reader, database.connect() as connection, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_logs")
        connection.execute("SET lock_timeout = '20ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(
                sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {} CONCURRENTLY").format(sql.Identifier(young))
            )
    shown = {removal.name: removal.action for removal in planned(*kept, find_expired(*kept, Policy(365)))}
    assert (shown[young], shown[old]) == ("would detach", "would drop")
    removals = run(kept)
    assert removals[young].action == "detached"
    assert removals[old].action == "dropped"
    assert young in tables(database)


def test_only_one_prunes_at_a_time(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A second run beside the first is refused with a clear line, and works after it."""
    make_old(*kept, 370)
    expiry = find_expired(*kept, Policy(365))
    running = prune(*kept, expiry)
    next(running)
    with keeping(database.settings.database) as (other, names), pytest.raises(DblogError, match="another process"):
        next(prune(other, names, find_expired(other, names, Policy(365))))
    assert len([*running]) == len(expiry) - 1
    with keeping(database.settings.database) as (other, names):
        assert [*prune(other, names, find_expired(other, names, Policy(365)))] == []


def test_two_prefixes_are_pruned_apart(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """Pruning one installation leaves the old partitions of another in the same schema."""
    with database.connect() as connection:
        prepare(connection, schema=None, table_prefix="shop", partition_by="day", indexes="minimal", partitions_ahead=7)
    shop = Names("public", "shop")
    (old,) = make_old(kept[0], shop, 370)
    make_old(*kept, 370)
    run(kept)
    assert old in tables(database)
    with kept[0].begin():
        assert any(found.name == old for found in list_partitions(kept[0], shop))

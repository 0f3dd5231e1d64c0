"""Retention by level and logger: which rows go, that the ledger is told, and that nothing is looked for twice."""

from collections.abc import Iterator

import audits
import psycopg
import pytest
import sqlalchemy as sa
from records import at
from retained import detach, left, log, noon, recall, remember, run, tables
from servers import Database

from dblog.store import deletion, retention
from dblog.store.beyond import ensure_partition
from dblog.store.expiry import find_expired, planned
from dblog.store.names import Names
from dblog.store.policy import Policy

POLICY = Policy(365, {10: 7, 20: 30}, {"shop.audit": 400, "noise": 3})
MIXED = ((10, "app"), (20, "app"), (40, "app"), (10, "shop.audit"), (10, "shop.audit.x"), (10, "shop.auditor"))


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection of a writer, to tables that were looked after a moment ago."""
    with database.connect() as made:
        remember(made, "retention_seen", at().isoformat())
        yield made


def test_rows_go_by_level_and_logger(kept: tuple[sa.Connection, Names], connection: psycopg.Connection) -> None:
    """A logger with days of its own counts before a level, a level before everything else, and names end at dots."""
    young, old = log(connection, 5, *MIXED, (40, "noise")), log(connection, 10, *MIXED)
    removals = run(kept, POLICY)
    assert {name: removal.levels for name, removal in removals.items()} == {young: {40: 1}, old: {10: 2}}
    assert left(connection) == [*MIXED[1:5], *MIXED]


def test_the_longest_name_counts(kept: tuple[sa.Connection, Names], connection: psycopg.Connection) -> None:
    """Of several loggers that have days, the one nearest to the record decides."""
    log(connection, 10, (20, "shop"), (20, "shop.audit"), (20, "shop.audit.money"), (20, "shop.cart"))
    run(kept, Policy(365, {}, {"shop": 3, "shop.audit": 100, "shop.audit.money": 5}))
    assert left(connection) == [(20, "shop.audit")]


def test_the_ledger_is_told(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Rows that the retention deleted are not missing; one that somebody else deletes is."""
    log(connection, 10, *MIXED)
    log(connection, 9, (10, "app"), (20, "app"))
    run(kept, POLICY)
    found = audits.accounts(database)
    assert all(account.proven for account in found)
    assert sorted((account.ledger_rows, account.table_rows, account.pruned_rows) for account in found) == [
        (2, 1, 1),
        (6, 4, 2),
    ]
    connection.execute("DELETE FROM dblog_logs WHERE level_no = 40")
    assert sorted(account.missing.rows for account in audits.accounts(database)) == [0, 1]


def test_a_batch_that_was_born_late_is_noted(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Whatever the day on which a batch was formed, long after its records or before, the ledger has its row."""
    for days in (20, 8, 12):
        log(connection, days, (10, "app"), (40, "app"))
        connection.execute("SELECT dblog_make_partition(now() - interval '15 days')")
        connection.execute("UPDATE dblog_batches SET birth_day = current_date - 15 WHERE birth_day > current_date - 1")
    run(kept, POLICY)
    assert left(connection) == [(40, "app")] * 3
    assert all(account.proven for account in audits.accounts(database))


def test_a_dry_run_counts_what_goes(kept: tuple[sa.Connection, Names], connection: psycopg.Connection) -> None:
    """The dry run names the numbers of the real run, by level, and deletes nothing."""
    name = log(connection, 40, *MIXED)
    (shown,) = [each for each in planned(*kept, find_expired(*kept, POLICY)) if each.name == name]
    assert (shown.action, shown.rows, shown.levels) == ("would delete rows", 3, {10: 2, 20: 1})
    assert left(connection) == [*MIXED]
    assert run(kept, POLICY)[name].levels == shown.levels


def test_batches_are_small_and_rest_in_between(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows go some pages at a time, each in a transaction of its own, with a rest after each that deleted something."""
    name = log(connection, 10, (40, "app"))
    connection.execute(
        f"INSERT INTO {name} SELECT (jsonb_populate_record(r, jsonb_build_object('id', -i, 'level_no', 10))).* "
        f"FROM {name} AS r, generate_series(1, 2000) AS i"
    )
    monkeypatch.setattr(deletion, "PAGES", 8)
    own = kept[0].engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    (each,) = find_expired(*kept, POLICY).thin
    rests: list[float] = []
    seen, counts = [], []
    with own:
        for batch in deletion.delete_due(own, kept[1], name, each.cuts, rest=rests.append):
            counts.append(batch.total())
            seen.append(connection.execute("SELECT count(*) FROM dblog_logs WHERE level_no = 10").fetchall()[0][0])
    assert sum(counts) == 2000
    assert len([count for count in counts if count]) == len(rests) > 3
    assert seen == [2000 - sum(counts[: i + 1]) for i in range(len(counts))]


def test_nothing_is_looked_for_twice(kept: tuple[sa.Connection, Names], connection: psycopg.Connection) -> None:
    """A partition that has lost its rows is left alone, until rows arrive late, or the policy becomes another one."""
    name = log(connection, 10, *MIXED)
    run(kept, POLICY)
    connection.execute("SELECT pg_stat_force_next_flush()")
    run(kept, POLICY)  # where the figures about what arrived came late
    assert find_expired(*kept, POLICY).thin == ()
    assert [each.part.name for each in find_expired(*kept, Policy(365, {10: 7, 40: 8})).thin] == [name]
    log(connection, 10, (10, "late"))
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    assert run(kept, POLICY)[name].levels == {10: 1}


def test_a_partition_of_which_all_may_go_goes_whole(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Where nothing of a partition has to stay it is dropped, young as it is; an empty one is nobody's concern."""
    name, other = log(connection, 10, (10, "app"), (10, "web")), log(connection, 11, (10, "app"), (40, "app"))
    empty = log(connection, 12, (40, "app"))
    connection.execute(f"TRUNCATE {empty}")
    connection.execute("UPDATE dblog_batches SET rows_removed = 1 WHERE accepted = 1")
    removals = run(kept, POLICY)
    assert (removals[name].action, removals[other].action) == ("dropped", "deleted rows")
    assert name not in tables(database)
    assert empty in tables(database)
    assert all(account.proven for account in audits.accounts(database))


def test_what_comes_at_the_last_moment_stays(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """A row that has to stay, and arrives after its partition was found to hold no such row, is put back as it was."""
    name = log(connection, 10, (10, "app"))
    expiry = find_expired(*kept, POLICY)
    log(connection, 10, (40, "late"))
    before = connection.execute("SELECT * FROM dblog_logs WHERE level_no = 40").fetchall()
    actions = [removal.action for removal in retention.prune(*kept, expiry)]
    assert actions == ["dropped"]
    assert connection.execute("SELECT * FROM dblog_logs").fetchall() == before
    assert f"{name}_2" in tables(database)  # made anew beside the old one


def test_what_is_rescued_may_be_older_than_any_record(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """A row that has to stay is put back from an expired table also where writers can have no partition any more."""
    ensure_partition(*kept, noon(500), "day")
    name = log(connection, 500, (10, "old"), (40, "old"))
    detach(connection, name, "dblog partition of public.dblog_logs, expired, but for what is kept longer")
    assert run(kept, Policy(1000, {10: 7}))[name].action == "dropped"
    assert left(connection) == [(40, "old")]


def test_what_cannot_be_put_back_for_a_lock_waits(
    kept: tuple[sa.Connection, Names],
    database: Database,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While somebody keeps writers from the records, a table from which rows are to be put back waits for that."""
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    name = log(connection, 10, (40, "late"))
    detach(connection, name, "dblog partition of public.dblog_logs, expired, but for what is kept longer")
    ensure_partition(*kept, noon(10), "day")
    expiry = find_expired(*kept, POLICY)
    with database.connect() as owner, owner.transaction():
        owner.execute("LOCK TABLE dblog_logs IN SHARE MODE")
        (removal,) = retention.prune(*kept, expiry)
        assert (removal.action, removal.blockers) == ("waiting", (owner.info.backend_pid,))
    assert run(kept, POLICY)[name].action == "dropped"
    assert left(connection) == [(40, "late")]


def test_a_partition_on_hold_is_left_alone(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Neither rows nor the whole go while a hold lasts; when it is over its note goes, too."""
    name, old = log(connection, 10, *MIXED), log(connection, 380, (40, "app"))
    for each in (name, old):
        remember(connection, f"hold {each}", at(days=-1).isoformat())
    shown = planned(*kept, find_expired(*kept, POLICY))
    assert {removal.name for removal in shown if removal.action == "held"} == {name, old}
    assert run(kept, POLICY, force=True).keys() & {name, old} == set()
    assert len(left(connection)) == len(MIXED) + 1
    for each in (name, old):
        remember(connection, f"hold {each}", at(days=1).isoformat())
    assert run(kept, POLICY, force=True).keys() >= {name, old}
    assert recall(connection, "hold %") == {}
    assert old not in tables(database)


def test_what_was_restored_or_dropped_since_it_was_found_is_left_alone(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """What is put on hold, or dropped by another run, after it was found neither goes nor fails the run."""
    name, old, gone = log(connection, 10, *MIXED), log(connection, 380, (40, "app")), log(connection, 381, (40, "app"))
    expiry = find_expired(*kept, POLICY)
    for each in (name, old):
        remember(connection, f"hold {each}", at(days=-1).isoformat())
    connection.execute(f"DROP TABLE {gone}")
    removals = {removal.name for removal in retention.prune(*kept, expiry, force=True)}
    assert removals & {name, old, gone} == set()
    assert len(left(connection)) == len(MIXED) + 1


def test_a_partition_that_is_locked_waits(
    kept: tuple[sa.Connection, Names],
    database: Database,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where somebody keeps everybody from a partition, its rows wait for the next run, and the others go."""
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    locked, other = log(connection, 10, *MIXED), log(connection, 9, *MIXED)
    expiry = find_expired(*kept, POLICY)
    with database.connect() as owner, owner.transaction():
        owner.execute(f"LOCK TABLE {locked} IN SHARE ROW EXCLUSIVE MODE")
        removals = {each.name: each for each in retention.prune(*kept, expiry)}
        assert (removals[locked].action, removals[locked].blockers) == ("waiting", (owner.info.backend_pid,))
        assert removals[other].action == "deleted rows"
    assert run(kept, POLICY)[locked].levels == {10: 2}

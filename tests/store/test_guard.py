"""The guard: nothing goes after the clock of the server may have jumped, and the archive, which comes before a drop."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from partitioned import of
from records import at
from retained import detach, left, log, recall, remember, run, tables
from servers import Database

from dblog.errors import DblogError
from dblog.store.expiry import find_expired, planned
from dblog.store.names import Names
from dblog.store.policy import Policy
from dblog.store.retention import Refused, prune

POLICY = Policy(365)
SEEN = "retention_seen"


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection of a writer."""
    with database.connect() as made:
        yield made


def doubts(kept: tuple[sa.Connection, Names]) -> tuple[str, ...]:
    """Why a run would be refused."""
    return find_expired(*kept, POLICY).doubts


def test_nothing_goes_after_a_jump(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """With a hole between the last run and now, in which nothing was logged, all stays; `force` is believed."""
    old = log(connection, 370, (20, "app"))
    log(connection, 21, (20, "app"))
    remember(connection, SEEN, at(days=20).isoformat())
    with pytest.raises(Refused, match=r"the server's clock says .* may have jumped.*dry-run.*--force"):
        run(kept, POLICY)
    assert old in tables(database)
    assert recall(connection, SEEN)[SEEN] < at(days=19).isoformat()
    assert run(kept, POLICY, force=True)[old].action == "dropped"
    assert doubts(kept) == ()


def test_new_records_with_the_wrong_time_do_not_hide_a_jump(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """Where the applications share the clock that jumped, the hole between the times tells of it."""
    for days in (0, 20, 21):
        log(connection, days, (20, "app"))
    remember(connection, SEEN, at(days=19).isoformat())
    assert "may have jumped" in doubts(kept)[0]


def test_a_table_that_was_not_pruned_for_months_is_pruned(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """Records of every week since the last run prove the clock, so nobody has to force anything."""
    old = log(connection, 370, (20, "app"))
    for days in range(0, 65, 5):
        log(connection, days, (20, "app"))
    remember(connection, SEEN, at(days=62).isoformat())
    assert run(kept, POLICY)[old].action == "dropped"


def test_a_quiet_table_that_is_looked_after_is_not_doubted(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """Nobody logs for a month, the retention runs each day: that is no jump. Without any run there may be one."""
    log(connection, 30, (20, "app"))
    assert "may have jumped" in doubts(kept)[0]
    remember(connection, SEEN, at(days=1).isoformat())
    assert doubts(kept) == ()


def test_a_clock_that_was_set_back_is_believed(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """A last run in the future removes nothing too early, and is forgotten."""
    log(connection, 0, (20, "app"))
    remember(connection, SEEN, at(days=-20).isoformat())
    run(kept, POLICY)
    assert recall(connection, SEEN)[SEEN] < at(days=-1).isoformat()


def test_new_tables_are_not_doubted(kept: tuple[sa.Connection, Names]) -> None:
    """Without a record there is nothing to be wrong about."""
    assert doubts(kept) == ()


def test_the_largest_tables_lose_the_oldest(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """A limit in bytes takes the oldest partitions, which are removed on purpose, and says how it stands."""
    names = [log(connection, days, (20, "app")) for days in range(6)]
    before = find_expired(*kept, Policy(365))
    size = next(part.size for part in of(*kept, "logs") if part.name == names[5])
    policy = Policy(365, max_bytes=before.bytes - size - 1)
    removals = run(kept, policy)
    assert list(removals) == [names[5], names[4]]
    assert tables(database) >= set(names[:4])
    after = find_expired(*kept, policy)
    assert (after.due, after.bytes <= before.bytes - 2 * size) == ((), True)


class Archive:
    """Takes tables, or refuses them."""

    def __init__(self, *, refuse: bool = False, closed: bool = False) -> None:
        self.taken: dict[str, int] = {}
        self.refuse = refuse
        self.closed = closed

    def check(self, connection: sa.Connection) -> None:
        """Say so where it is another's."""
        with connection.begin():
            if self.closed:
                raise DblogError("the archive is another's")

    def __call__(self, connection: sa.Connection, name: str) -> None:
        """Count the rows of a table."""
        if self.refuse:
            raise DblogError("the archive is full")
        with connection.begin():
            attached = "SELECT relispartition FROM pg_class WHERE relname = :name"
            assert connection.scalar(sa.text(attached), {"name": name}) is False
            self.taken[name] = connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0


def test_records_are_archived_before_they_are_dropped(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """The archiver gets each table of records detached, and never one of the ledger."""
    old = log(connection, 370, (20, "app"), (20, "app"))
    archive = Archive()
    removals = run(kept, POLICY, force=True, archiver=archive)
    assert archive.taken == {old: 2}
    assert removals[old].action == "archived and dropped"
    assert removals[old.replace("logs", "batches")].action == "dropped"
    assert old not in tables(database)


def test_what_cannot_be_archived_is_kept(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """A table that the archive refuses is kept, also by later runs, until an archiver takes it or it is forced."""
    old, older = log(connection, 370, (20, "app")), log(connection, 371, (20, "app"))
    removals = run(kept, POLICY, force=True, archiver=Archive(refuse=True))
    assert {removals[name].action for name in (old, older)} == {"kept"}
    assert removals[old].note == "the archive is full"
    remember(connection, SEEN, at().isoformat())
    assert "--archive" in run(kept, POLICY)[old].note
    assert {old, older} <= tables(database)
    archive = Archive()
    assert run(kept, POLICY, archiver=archive).keys() == archive.taken.keys() == {old, older}
    assert not {old, older} & tables(database)


def test_an_archive_that_takes_nothing_leaves_the_table_as_it_is(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Where the archive is found to refuse all tables, none is detached, what was left is kept, the ledger goes on."""
    old, older = log(connection, 370, (20, "app")), log(connection, 371, (20, "app"))
    detach(connection, older, "dblog partition of public.dblog_logs, expired, to be archived")
    archive = Archive(closed=True)
    shown = {each.name: each for each in planned(*kept, find_expired(*kept, POLICY), archiver=archive)}
    removals = run(kept, POLICY, force=True, archiver=archive)
    for plan, action in ((shown, "would keep"), (removals, "kept")):
        assert {(plan[name].action, plan[name].note) for name in (old, older)} == {(action, "the archive is another's")}
    assert left(connection) == [(20, "app")]
    assert removals[old.replace("logs", "batches")].action == "dropped"
    assert (archive.taken, run(kept, POLICY, archiver=Archive())[old].action) == ({}, "archived and dropped")


def test_what_is_to_be_archived_first_is_said(
    kept: tuple[sa.Connection, Names], connection: psycopg.Connection
) -> None:
    """The dry run says that such a table stays without an archive; the advice in case of doubt asks for one, too."""
    old = log(connection, 370, (20, "app"))
    detach(connection, old, "dblog partition of public.dblog_logs, expired, to be archived")
    log(connection, 30, (20, "app"))
    expiry = find_expired(*kept, POLICY)
    (shown,) = [each for each in planned(*kept, expiry) if each.name == old]
    assert (shown.action, "dblog prune --archive URL" in shown.note) == ("would keep", True)
    actions = [
        [each.action for each in plan if each.name == old]
        for plan in (planned(*kept, expiry, archiver=Archive()), planned(*kept, expiry, force=True))
    ]
    assert actions == [["would archive and drop"], ["would drop"]]
    with pytest.raises(Refused, match="use --force --archive URL where"):
        run(kept, POLICY)
    with pytest.raises(Refused, match="use --force where"):
        run(kept, POLICY, archiver=Archive())


def test_what_waits_for_the_archive_can_be_forced(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """Without an archive, `force` drops what was to go there; a table with another comment is nobody's to drop."""
    old, other = log(connection, 370, (20, "app")), log(connection, 371, (20, "app"))
    detach(connection, old, "dblog partition of public.dblog_logs, expired, to be archived")
    detach(connection, other, "dblog partition of public.dblog_logs, expired, says somebody else")
    assert run(kept, POLICY, force=True)[old].action == "dropped"
    assert tables(database) & {old, other} == {other}
    assert left(connection) == []


def test_a_doubt_does_not_stop_a_pending_detach(
    kept: tuple[sa.Connection, Names], database: Database, connection: psycopg.Connection
) -> None:
    """What somebody began to detach is finished, because it stands in everybody's way; then the run is refused."""
    old, young = log(connection, 370, (20, "app")), log(connection, 40, (20, "app"))
    with database.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_logs")
        connection.execute("SET lock_timeout = '20ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(f"ALTER TABLE dblog_logs DETACH PARTITION {young} CONCURRENTLY")
    running = prune(*kept, find_expired(*kept, POLICY))
    assert (next(running).action, old in tables(database)) == ("detached", True)
    with pytest.raises(Refused):
        next(running)
    assert {old, young} <= tables(database)

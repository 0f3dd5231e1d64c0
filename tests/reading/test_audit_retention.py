"""The audit after the retention: what was removed on purpose is no loss, and everything else still is one."""

import threading
from datetime import datetime

import audits
import psycopg
import pytest
from records import at, insert
from servers import Database

from dblog.reading.audit import Account, Fault
from dblog.store import retention
from dblog.store.engine import keeping
from dblog.store.expiry import find_expired
from dblog.store.horizons import Horizons, horizons_of
from dblog.store.policy import Policy
from dblog.store.retention import prune

DAYS = 10


def pruned(database: Database) -> Horizons:
    """Keep the records of ten days; returns what the database remembers of that."""
    with keeping(database.settings.database) as (keeper, names):
        for _ in prune(keeper, names, find_expired(keeper, names, Policy(DAYS)), force=True):
            pass
        return horizons_of(keeper, names)


def accounts(database: Database) -> dict[str, Account]:
    """The accounts of what was delivered in the last day, by their writers."""
    return {str(found.writer_id): found for found in audits.accounts(database)}


def midnight(**before: float) -> datetime:
    """The beginning of a day in UTC."""
    return at(**before).replace(hour=0, minute=0, second=0, microsecond=0)


def test_pruned_rows_are_not_missing(database: Database, connection: psycopg.Connection) -> None:
    """Batches before the horizon, wholly or in part, may have lost rows; they are counted as pruned."""
    whole = insert(connection, {"timestamp": at(days=20)}, {"timestamp": at(days=20)})
    part = insert(connection, {"timestamp": at(days=20)}, {})
    assert pruned(database).logs == midnight(days=19)
    found = accounts(database)
    assert [found[str(writer)].pruned_rows for writer in (whole, part)] == [2, 1]
    assert [found[str(writer)].table_rows for writer in (whole, part)] == [0, 1]
    assert all(account.proven for account in found.values())


def test_rows_after_the_horizon_are_still_counted(database: Database, connection: psycopg.Connection) -> None:
    """The retention excuses nothing that it cannot have removed, and no row too many anywhere."""
    insert(connection, {"timestamp": at(days=20)})
    young = insert(connection, {"timestamp": at(days=5)}, {})
    doubled = insert(connection, {"timestamp": at(days=20)}, {})
    pruned(database)
    connection.execute("DELETE FROM dblog_logs WHERE timestamp < %s AND writer_id = %s", [at(days=1), young])
    connection.execute(
        "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
        "SELECT writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message FROM dblog_logs, "
        "generate_series(1, 2) WHERE writer_id = %s",
        [doubled],
    )
    found = accounts(database)
    assert found[str(young)].missing.examples == (Fault(1, 2, 1),)
    assert found[str(doubled)].doubled.examples == (Fault(1, 2, 3),)


def test_the_horizon_is_there_before_anything_goes(
    database: Database, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stops between the record and the drop leaves rows before the horizon, and no alarm."""
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    insert(connection, {"timestamp": at(days=20)}, {})
    with database.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_logs")
        assert pruned(database).logs == midnight(days=19)
    (account,) = accounts(database).values()
    assert (account.proven, account.pruned_rows) == (True, account.ledger_rows - account.table_rows)


def test_the_horizon_only_moves_on(database: Database, connection: psycopg.Connection) -> None:
    """An older partition that is dropped later leaves the horizon where it is."""
    for days in (20, 30):
        insert(connection, {"timestamp": at(days=days)})
        assert pruned(database).logs == midnight(days=19)


def test_nothing_was_pruned_from_new_tables(database: Database) -> None:
    """Without a drop there is no horizon, and a prune that finds nothing records none."""
    assert pruned(database) == Horizons(None, None)


def test_a_prune_meanwhile_raises_no_alarm(database: Database, connection: psycopg.Connection) -> None:
    """Partitions may go while the audit runs: it sees them all with their rows, or the horizon that they left."""
    for days in range(11, 31):
        insert(connection, {"timestamp": at(days=days)}, {})
    pruning = threading.Thread(target=pruned, args=(database,))
    pruning.start()
    seen = [accounts(database)]
    while pruning.is_alive():
        seen.append(accounts(database))
    pruning.join()
    assert all(account.proven for found in [*seen, accounts(database)] for account in found.values())


def test_rows_that_the_ledger_has_forgotten_are_not_unknown(database: Database, connection: psycopg.Connection) -> None:
    """A row from before the ledger's horizon may be of a batch that went with it; a later one cannot."""
    forgotten = insert(connection, {"timestamp": at(days=40)})
    unknown = insert(connection, {"timestamp": at(days=5)})
    forget_before(connection, at(days=30))
    connection.execute("DELETE FROM dblog_batches")
    reaching = insert(connection, {"timestamp": at(days=41)}, {})
    for days in range(41):  # so that the audit looks at all of these days
        insert(connection, {"timestamp": at(days=days, hours=1)}, writer=reaching, seq=days + 2)
    found = accounts(database)
    assert str(forgotten) not in found
    assert found[str(unknown)].unknown.examples == (Fault(1, 0, 1),)
    assert found[str(reaching)].proven


def test_forgotten_batches_are_no_gap(database: Database, connection: psycopg.Connection) -> None:
    """A writer that the ledger knows from its first days on began before them; one that comes later began later."""
    old = insert(connection, {}, seq=1000)
    young = insert(connection, {}, seq=3)
    forget_before(connection, at(days=30))
    connection.execute("SELECT dblog_make_partition(now() - interval '29 days')")
    connection.execute("UPDATE dblog_batches SET birth_day = birth_day - 29 WHERE writer_id = %s", [old])
    insert(connection, {}, writer=old, seq=1002)
    found = accounts(database)
    assert (found[str(old)].gap_ranges, found[str(old)].gaps) == (((1001, 1001),), 1)
    assert found[str(old)].undelivered is None
    assert found[str(young)].gap_ranges == ((1, 2),)


def test_the_ledger_has_a_horizon_of_its_own(database: Database, connection: psycopg.Connection) -> None:
    """The day on which the ledger's memory begins is recorded when an older one is dropped."""
    connection.execute("SELECT dblog_make_partition(now() - interval '40 days')")
    assert pruned(database).batches == midnight(days=39)


def forget_before(connection: psycopg.Connection, moment: datetime) -> None:
    """Record the ledger's horizon as the retention does."""
    connection.execute(
        "INSERT INTO dblog_settings VALUES ('ledger_pruned_before', %s)",
        [moment.isoformat()],
    )

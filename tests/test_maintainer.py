"""The maintenance in the background of an application."""

import threading
from pathlib import Path

import pytest
from eventually import eventually
from programs import run_to_the_end
from records import at
from retained import recall, remember
from servers import Database

from dblog import maintainer
from dblog.maintainer import THREAD
from dblog.manager import LoggerManager
from dblog.store.engine import keeping
from dblog.store.maintenance import is_due

PROGRAM = Path(__file__).parent / "maintained_app.py"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look comes at once."""
    monkeypatch.setattr(maintainer, "FIRST_LOOK", 0.01)


def settings(database: Database, **chosen: object) -> dict[str, object]:
    """A configuration without a console, and with these keys for the database."""
    keys = {"spool_dir": "none", **chosen}
    return {"logging": {"console": {"enabled": False}, "database": keys}, "database": {"dsn": database.dsn}}


def threads() -> list[str]:
    """The names of the threads that look after the tables."""
    return [thread.name for thread in threading.enumerate() if thread.name == THREAD]


def test_an_application_looks_after_its_tables(database: Database) -> None:
    """With `maintain_every` what is due goes while the application runs; the table is told, and the thread ends."""
    with database.connect() as connection:
        ((old,),) = connection.execute("SELECT dblog_make_partition(%s)", [at(days=370)]).fetchall()
        manager = LoggerManager()
        try:
            assert manager.initialize(settings(database, maintain_every=3600))
            eventually(lambda: connection.execute("SELECT to_regclass(%s)", [old]).fetchone() == (None,))
            eventually(lambda: recall(connection, "retention_seen"))
            eventually(
                lambda: (
                    connection.execute(
                        "SELECT message FROM dblog_logs WHERE logger_name = 'dblog.maintenance'"
                    ).fetchall()
                    == [("2 dropped",)]
                )
            )
        finally:
            assert manager.shutdown()
    eventually(lambda: not threads())


def test_it_is_off_by_default(database: Database) -> None:
    """Without the setting, and with the database switched off, there is no such thread."""
    for chosen in ({}, {"maintain_every": 1, "enabled": False}):
        manager = LoggerManager()
        assert manager.initialize(settings(database, **chosen))
        assert threads() == []
        manager.shutdown()


def test_what_goes_wrong_is_logged(database: Database) -> None:
    """A refusal is a warning with its reason, so that it does not stay unseen, and the next look comes all the same."""
    with database.connect() as connection:
        for days in range(370, 381):
            connection.execute("SELECT dblog_make_partition(%s)", [at(days=days)])
        manager = LoggerManager()
        try:
            assert manager.initialize(settings(database, maintain_every=0.05, flush_interval=0.05))
            eventually(
                lambda: (
                    connection.execute(
                        "SELECT FROM dblog_logs WHERE logger_name = 'dblog.maintenance' "
                        "AND level = 'WARNING' AND message LIKE 'more than half%--force%'"
                    ).rowcount
                    > 1
                )
            )
        finally:
            manager.shutdown()
    eventually(lambda: not threads())


def test_one_of_many_does_the_work(database: Database) -> None:
    """Once a process has done it the others find nothing due, for about the interval; a clock set back is no reason."""
    with database.connect() as connection, keeping(database.settings.database) as kept:
        assert is_due(*kept, 3600)
        for seen, due in ((at(minutes=1), False), (at(minutes=31), True), (at(minutes=-5), True)):
            remember(connection, "retention_seen", seen.isoformat())
            assert is_due(*kept, 3600) is due


def test_a_forked_child_looks_after_the_tables_as_well(database: Database) -> None:
    """A child has a thread of its own, also where its parent ends, and does not disturb the parent's connection."""
    assert run_to_the_end(str(PROGRAM), database.dsn).split() == ["child", THREAD, "parent", THREAD]

"""What the table is told about itself: records that are missing in it, and writers that ended without closing."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from delivered import log
from eventually import eventually
from servers import Database

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]
Run = Callable[..., Any]
Stored = Callable[..., list[dict[str, Any]]]

KILLED = """
import logging, os, signal, sys
import dblog
handler = dblog.DatabaseLogHandler(sys.argv[1], spool_dir=sys.argv[2], flush_interval=3600, close_timeout=60)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
logging.info("stored")
assert handler.flush()
logging.info("in memory")
print(handler.stats().writer_id)
{ending}
"""


def notes(rows: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """The notes about an event."""
    found = [row for row in rows if row["logger_name"] == "dblog" and row["extra_data"]["event"] == event]
    assert all(row["level"] == "WARNING" for row in found)
    return found


def test_dropped_records_are_told_to_the_table(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    stored: Stored,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Records that were dropped while the database was away are a row of the table once it is back, by level."""
    handler = make_handler(
        "host=127.0.0.1 port=1", overflow="drop", queue_max_bytes=64 * 1024, flush_interval=0.01, batch_bytes="32KiB"
    )
    logger = attach(handler)
    for _ in range(200):
        logger.debug("x" * 1000)
        logger.error("x" * 1000)
    dropped = handler.stats().dropped
    assert dropped[logging.DEBUG] > 0
    handler._writer.delivery.database.conninfo = database.dsn  # as if the server had come up at the same address
    assert handler.flush(30)
    handler.close()
    stats, rows = handler.stats(), stored(database)
    assert_conserved(handler)
    (note,) = notes(rows, "losses")
    assert note["extra_data"]["dropped"] == {str(level): count for level, count in sorted(stats.dropped.items())}
    assert str(note["writer_id"]).replace("-", "") == note["extra_data"]["writer_id"] == stats.writer_id
    assert f"{sum(stats.dropped.values())} dropped" in note["message"]
    assert len(rows) == sum(stats.stored.values())
    assert "room gets scarce" in capfd.readouterr().err


def test_a_quiet_life_leaves_no_note(
    database: Database, handler: DatabaseLogHandler, attach: Attach, stored: Stored
) -> None:
    """A writer that lost nothing tells nothing."""
    expected = log(attach(handler), 0, 10)
    handler.close()
    assert [row["message"] for row in stored(database)] == list(expected)


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_an_unclean_end_is_told_by_whoever_finds_it(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    run: Run,
    stored: Stored,
    tmp_path: Path,
    ending: str,
) -> None:
    """The next writer on the host tells the table which writer died, when it was last seen and what it may cost."""
    done = run(KILLED.format(ending=ending), database.dsn, tmp_path)
    assert done.returncode == (-signal.SIGKILL if "kill" in ending else 0), done.stderr
    victim = done.stdout.strip()
    handler = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
    attach(handler).info("successor")
    eventually(lambda: notes(stored(database), "unclean_end"), "the note about the dead writer")
    handler.close()
    (note,) = notes(stored(database), "unclean_end")
    assert note["extra_data"]["writer_id"] == victim
    assert note["extra_data"]["waiting"] is not None
    assert victim in note["message"]
    assert not list(tmp_path.glob("*/status.json"))


def test_an_orderly_end_is_no_death(
    database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored, tmp_path: Path
) -> None:
    """A writer that closed in order, leaving records because the database was away, is taken over without a note."""
    first = make_handler(database.dsn, spool_dir=tmp_path)
    first._writer.delivery.database.conninfo = "host=127.0.0.1 port=1"  # as if the server were away
    attach(first).info("left behind")
    first.close(0.1)
    assert first.stats().spooled == {logging.INFO: 1}
    second = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
    attach(second).info("successor")
    eventually(lambda: len(stored(database)) == 2, "the records of both")
    second.close()
    assert sorted(row["message"] for row in stored(database)) == ["left behind", "successor"]
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_is_refused_is_not_told_in_another(
    database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored, tmp_path: Path
) -> None:
    """Where the table refuses the note about refused rows, too, no further note follows, and closing ends."""
    with database.connect() as owner:
        owner.execute("ALTER TABLE dblog_logs ADD CONSTRAINT shop_only CHECK (logger_name LIKE 'test%')")
        owner.execute("ALTER TABLE dblog_logs ADD CONSTRAINT no_bad CHECK (message <> 'bad')")
    handler = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
    logger = attach(handler)
    logger.info("good")
    logger.info("bad")
    handler.close()
    stats = handler.stats()
    assert [row["message"] for row in stored(database)] == ["good"]
    assert (stats.emitted, stats.rejected) == ({20: 2, 30: 1}, {20: 1, 30: 1})
    assert len(list((tmp_path / "rejected").iterdir())) == 2

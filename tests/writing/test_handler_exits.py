"""The end of a process: whatever ends it in order, what was logged is stored."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Stored = Callable[..., list[dict[str, Any]]]

OPENING = """
import atexit, logging, os, signal, sys, threading
import dblog
handler = dblog.DatabaseLogHandler(
    sys.argv[1], close_timeout=60, spool_dir=sys.argv[2] if len(sys.argv) > 2 else None
)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
logging.info("first")
"""

ENDINGS = {
    "normal": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "uncaught": ("raise KeyError('x')", 1),
    "keyboard": ("raise KeyboardInterrupt", -signal.SIGINT),
    "shutdown": ("logging.shutdown()", 0),
    "closed twice": ("handler.close(); logging.shutdown()", 0),
    "handler of SIGTERM": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
        9,
    ),
    "removed": ("logging.getLogger().removeHandler(handler); del handler; import gc; gc.collect()", 0),
    "a thread goes on": (
        "threading.Thread(target=lambda: (threading.main_thread().join(), logging.info('x'))).start()",
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_orderly_end_delivers(database: Database, run: Run, stored: Stored, ending: str) -> None:
    """However a program comes to its end, its last records are stored without anybody closing anything."""
    code, status = ENDINGS[ending]
    done = run(OPENING + "logging.info('last')\n" + code, database.dsn)
    assert done.returncode == status, done.stderr
    assert [row["message"] for row in stored(database)][:2] == ["first", "last"]
    assert "dblog" not in done.stderr
    ledger = stored(database, "dblog_batches", "batch_seq")
    assert ledger[-1]["closing"]


def test_a_default_sigterm_loses_no_more_than_an_interval(database: Database, run: Run, stored: Stored) -> None:
    """SIGTERM without a handler kills at once: what was flushed is stored, and the ledger shows an unclean end."""
    code = "handler.flush()\nlogging.info('lost')\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    patient = OPENING.replace("close_timeout=60", "close_timeout=60, flush_interval=3600")
    done = run(patient + code, database.dsn)
    assert done.returncode == -signal.SIGTERM
    assert [row["message"] for row in stored(database)] == ["first"]
    assert not any(row["closing"] for row in stored(database, "dblog_batches", "batch_seq"))


def test_late_records_are_never_lost(database: Database, run: Run, stored: Stored) -> None:
    """What is logged by `atexit` functions, after `logging.shutdown` or from `__del__` is stored or printed, once."""
    done = run(
        OPENING.replace("import dblog\n", "atexit.register(lambda: logging.info('early atexit'))\nimport dblog\n")
        + """
class Late:
    def __del__(self): logging.info("from __del__")
late = Late()
atexit.register(lambda: logging.info("late atexit"))
logging.info("x")
keep = logging.getLogger().handlers
""",
        database.dsn,
    )
    assert done.returncode == 0
    found = [row["message"] for row in stored(database)]
    printed = [line.split(" root ")[1] for line in done.stderr.splitlines() if "not stored" in line]
    assert found == ["first", "x", "late atexit"]
    assert printed[:1] == ["early atexit"]
    assert set(printed) <= {"early atexit", "from __del__"}


def test_after_shutdown_records_go_to_the_spool(database: Database, run: Run, stored: Stored, tmp_path: Path) -> None:
    """With a spool a late record waits there for the next process, which stores it."""
    done = run(OPENING + "logging.shutdown()\nlogging.info('late')", database.dsn, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["message"] for row in stored(database)] == ["first"]
    follow = """
import time
deadline = time.monotonic() + 60
while handler.stats().batches < 2 and time.monotonic() < deadline:  # its own, and the one that was left
    time.sleep(0.01)
"""
    assert run(OPENING + follow, database.dsn, tmp_path).returncode == 0
    assert sorted(row["message"] for row in stored(database)) == ["first", "first", "late"]


def test_signal_handlers_may_log(database: Database, run: Run, stored: Stored) -> None:
    """Signals that interrupt logging calls and log themselves neither hang nor lose a record."""
    done = run(
        OPENING
        + """
count = 0
def on_alarm(*_):
    global count
    count += 1
    logging.error("signal")
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(20_000):
    logging.info("%d", number)
    if number % 5000 == 0:
        handler.flush()
signal.setitimer(signal.ITIMER_REAL, 0)
handler.close()
stats = handler.stats()
assert stats.emitted == stats.stored == {20: 20_001, 40: count}, (stats, count)
assert count > 10
""",
        database.dsn,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len({row["message"] for row in stored(database)}) == 20_002


def test_an_end_without_a_database_is_bounded_and_prints(run: Run) -> None:
    """With nowhere to go, the records of a dying process are printed once, in order."""
    code = OPENING.replace("close_timeout=60", "close_timeout=0.5") + "for n in range(100): logging.info('%d', n)"
    done = run(code, "host=127.0.0.1 port=1")
    assert done.returncode == 0
    printed = [line.split(" root ")[1] for line in done.stderr.splitlines() if "not stored" in line]
    assert printed == ["first", *map(str, range(100))]

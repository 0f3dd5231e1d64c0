"""What each end of a process can cost: the lines of docs/guarantees.md, in programs that die."""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from programs import IMPORTABLE, TIMEOUT
from servers import Database
from spools import waiting_files

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Run = Callable[..., Any]
Stored = Callable[..., list[dict[str, Any]]]

OPENING = """
import atexit, logging, multiprocessing, os, signal, sys, time
import dblog
handler = dblog.DatabaseLogHandler(
    sys.argv[1], spool_dir=sys.argv[2], durability=sys.argv[3], flush_interval=3600, close_timeout=60
)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
logging.info("flushed")
assert handler.flush()
logging.info("waiting")
"""

ORDERLY = {
    "returning": "",
    "sys.exit": "sys.exit(3)",
    "an uncaught exception": "raise KeyError('x')",
    "Ctrl-C": "os.kill(os.getpid(), signal.SIGINT); signal.pause()",
    "SIGTERM with a handler that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); os.kill(os.getpid(), signal.SIGTERM); signal.pause()"
    ),
    "SIGTERM with a handler that raises": (
        "signal.signal(signal.SIGTERM, signal.default_int_handler); os.kill(os.getpid(), 15); signal.pause()"
    ),
}

SUDDEN = {
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "SIGHUP": "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGHUP); signal.pause()",
    "os._exit": "os._exit(0)",
    "os.execv": "os.execv('/bin/true', ['true'])",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "a crash in C code": "import ctypes; ctypes.string_at(0)",
}


@pytest.fixture
def left(
    database: Database, make_handler: MakeHandler, attach: Attach, run: Run, stored: Stored, tmp_path: Path
) -> Callable[[str, str], set[str]]:
    """A function that runs a program that logs and dies, lets a successor replay, and gives what is in the table."""

    def find(code: str, durability: str) -> set[str]:
        run(OPENING + code, database.dsn, tmp_path, durability)
        successor = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
        attach(successor).info("successor")
        eventually(lambda: waiting_files(tmp_path) in ([], ["lock", "status.json"]), "the replay")
        successor.close()
        rows = [row["message"] for row in stored(database) if row["logger_name"] != "dblog"]
        assert len(rows) == len(set(rows))
        return set(rows) - {"successor"}

    return find


@pytest.mark.parametrize("durability", ["memory", "journal"])
@pytest.mark.parametrize("ending", ORDERLY)
def test_an_orderly_end_costs_nothing(left: Callable[[str, str], set[str]], ending: str, durability: str) -> None:
    """However a process ends in order, everything that it logged is in the table."""
    assert left(ORDERLY[ending], durability) == {"flushed", "waiting"}


@pytest.mark.parametrize("ending", SUDDEN)
def test_a_sudden_end_costs_what_waited_in_memory(left: Callable[[str, str], set[str]], ending: str) -> None:
    """Without a journal a sudden end costs what waited for its batch, and nothing that was flushed."""
    assert left(SUDDEN[ending], "memory") == {"flushed"}


@pytest.mark.parametrize("ending", SUDDEN)
def test_a_sudden_end_costs_nothing_with_a_journal(left: Callable[[str, str], set[str]], ending: str) -> None:
    """With a journal whatever the logging call returned for is in the table, however the process died."""
    assert left(SUDDEN[ending], "journal") == {"flushed", "waiting"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_loses_nothing(
    database: Database, run: Run, stored: Stored, tmp_path: Path, method: str
) -> None:
    """What a child of `multiprocessing` logs is stored when it ends in order, though it ends by `os._exit`."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import logging, multiprocessing, sys
import dblog

def work(number):
    logging = {"console": {"enabled": False}, "database": {"close_timeout": 60}}
    dblog.initialize_logger({"logging": logging, "database": {"dsn": sys.argv[1]}})
    dblog.get_logger("child").info("child %d", number)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(sum(child.exitcode for child in children))
""",
        encoding="utf-8",
    )
    done = run(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')", database.dsn, method)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(row["message"] for row in stored(database)) == ["child 0", "child 1", "child 2"]


FROZEN = (
    OPENING.replace("close_timeout=60", "close_timeout=3600")
    + """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
handler._writer.delivery.database.close()
handler._writer.delivery.database.conninfo = f"host=127.0.0.1 port={listener.getsockname()[1]}"
"""
)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM] * 3], ids=["Ctrl-C", "SIGTERM three times"])
def test_who_is_in_a_hurry_loses_nothing(database: Database, tmp_path: Path, signals: list[signal.Signals]) -> None:
    """Signals that come while a frozen database keeps the end waiting send what waits to the spool at once."""
    code = (
        FROZEN
        + """
def leave(*_):
    print("signal", flush=True)
    sys.exit(9)
signal.signal(signal.SIGTERM, leave)
main = threading.main_thread().ident
def tell():
    frame = None
    while frame is None or frame.f_code.co_name != "await_end":
        frame = sys._current_frames()[main]
        while frame is not None and frame.f_code.co_name != "await_end":
            frame = frame.f_back
        time.sleep(0.01)
    print("closing", flush=True)
threading.Thread(target=tell, daemon=True).start()
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, database.dsn, tmp_path, "memory"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": IMPORTABLE},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "closing\n"
        for number in signals:
            process.send_signal(number)
            if number is signal.SIGTERM and not process.stdout.readline():
                break  # it had ended already
        process.communicate(timeout=TIMEOUT)
    (segment,) = tmp_path.glob("*/*.seg")
    assert b"waiting" in segment.read_bytes()


def test_an_interrupt_in_the_first_moment_of_the_end_is_a_hurry_too(
    database: Database, run: Run, tmp_path: Path
) -> None:
    """Where a signal comes before any handler is closed, what waits goes to the spool at once all the same."""
    front = """
import logging.handlers
class Interrupted(logging.handlers.MemoryHandler):
    def flush(self):
        if self.target is not None:
            self.target = None
            raise KeyboardInterrupt
logging.getLogger("front").addHandler(Interrupted(10, target=handler))
"""
    run(FROZEN + front, database.dsn, tmp_path, "memory")
    (segment,) = tmp_path.glob("*/*.seg")
    assert b"waiting" in segment.read_bytes()

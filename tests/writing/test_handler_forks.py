"""Forks: the child logs as a writer of its own, and neither disturbs the other."""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Stored = Callable[..., list[dict[str, Any]]]

OPENING = """
import logging, os, sys, threading, time
import dblog
handler = dblog.DatabaseLogHandler(
    sys.argv[1], close_timeout=60, spool_dir=sys.argv[2] if len(sys.argv) > 2 else None
)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
"""


def check(done: "subprocess.CompletedProcess[str]") -> None:
    """The program ended in order and without a word."""
    assert (done.returncode, done.stderr) == (0, "")


def writers(rows: list[dict[str, Any]]) -> dict[str, set[Any]]:
    """The messages of each process, which must have been one writer."""
    assert len({row["writer_id"] for row in rows}) == len({row["process_id"] for row in rows})
    found: dict[str, set[Any]] = {}
    for row in rows:
        found.setdefault(str(row["process_id"]), set()).add(row["message"])
    return found


def test_a_child_is_a_writer_of_its_own(database: Database, run: Run, stored: Stored) -> None:
    """Parent and child log under their own process and writer; what waited in the parent is not stored twice."""
    done = run(
        OPENING
        + """
logging.info("before")
handler.flush()
logging.info("waiting")
child = os.fork()
if child == 0:
    logging.info("child")
    print(handler.flush(), handler.stats().emitted, flush=True)
    handler.close()
    os._exit(0)
os.waitpid(child, 0)
logging.info("after")
handler.close()
print(dict(handler.stats().stored))
""",
        database.dsn,
    )
    check(done)
    assert done.stdout == "True Counter({20: 1})\n{20: 3}\n"
    assert sorted(map(len, writers(stored(database)).values())) == [1, 3]


@pytest.mark.parametrize(
    "ending", ["os._exit(0)", "sys.exit(0)", "os.kill(os.getpid(), 9)", "handler.close(); os._exit(0)"]
)
def test_a_childs_end_does_not_touch_the_parents_connection(
    database: Database, run: Run, ending: str, tmp_path: Path
) -> None:
    """However a child ends, the parent goes on with the session that it had."""
    done = run(
        OPENING
        + f"""
logging.info("before")
handler.flush()
session = handler._writer.delivery.database._connection.info.backend_pid
child = os.fork()
if child == 0:
    {ending}
os.waitpid(child, 0)
logging.info("after")
assert handler.flush()
assert handler._writer.delivery.database._connection.info.backend_pid == session
assert handler.stats().failures == 0
""",
        database.dsn,
        tmp_path,
    )
    check(done)


def test_an_orderly_end_of_a_child_delivers(database: Database, run: Run, stored: Stored) -> None:
    """A child that ends by `sys.exit` delivers what it logged last, and so does its child."""
    done = run(
        OPENING
        + """
logging.info("parent")
if os.fork() == 0:
    logging.info("child")
    if os.fork() == 0:
        logging.info("grandchild")
        sys.exit()
    os.wait()
    sys.exit()
os.wait()
""",
        database.dsn,
    )
    check(done)
    assert sorted(writers(stored(database)).values(), key=str) == [{"child"}, {"grandchild"}, {"parent"}]


def test_forking_while_threads_log(database: Database, run: Run, stored: Stored) -> None:
    """Children that are forked at any moment while threads log neither hang nor lose what they log."""
    done = run(
        OPENING
        + """
stop = threading.Event()
def log():
    while not stop.wait(0.0005):
        logging.info("parent")
threads = [threading.Thread(target=log) for _ in range(4)]
for thread in threads: thread.start()
children = []
for number in range(10):
    child = os.fork()
    if child == 0:
        logging.info("child %d", number)
        os._exit(0 if handler.flush() else 1)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
stop.set()
for thread in threads: thread.join()
handler.close()
stats = handler.stats()
assert codes == [0] * 10, codes
assert stats.emitted == stats.stored, stats
print(sum(stats.stored.values()))
""",
        database.dsn,
    )
    check(done)
    found = Counter(row["message"] for row in stored(database))
    assert found.pop("parent") == int(done.stdout)
    assert found == Counter(f"child {number}" for number in range(10))


WORKERS = """
import logging, multiprocessing, sys
import dblog

def work(number):
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(dblog.DatabaseLogHandler(sys.argv[1], close_timeout=60))
    logging.getLogger().setLevel(logging.INFO)
    logging.info("worker %d", number)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    logging.getLogger().addHandler(dblog.DatabaseLogHandler(sys.argv[1], close_timeout=60))
    logging.getLogger().setLevel(logging.INFO)
    logging.info("main")
    workers = [context.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    with context.Pool(2) as pool:
        pool.map(work, range(3, 6))
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_loses_nothing(
    database: Database, run: Run, stored: Stored, method: str, tmp_path: Path
) -> None:
    """What processes and pools of `multiprocessing` log last is stored at their end, by any start method."""
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    launcher = f"import os, sys; os.execv(sys.executable, [sys.executable, {str(program)!r}, *sys.argv[1:]])"
    check(run(launcher, database.dsn, method))
    found = Counter(row["message"] for row in stored(database))
    assert found == Counter(["main", *(f"worker {number}" for number in range(6))])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="NO /proc: nobody tells when a thread sleeps")
def test_a_fork_past_pythons_hooks_is_noticed(database: Database, run: Run, stored: Stored, tmp_path: Path) -> None:
    """A child that C code forked is a writer of its own, and leaves the parent's connection alone."""
    done = run(
        OPENING
        + """
import ctypes
logging.info("before")
handler.flush()
session = handler._writer.delivery.database._connection.info.backend_pid
stepper = handler._writer.worker.stepper
state = os.open(f"/proc/self/task/{stepper._thread.native_id}/stat", os.O_RDONLY)
def sleeps():
    # Where a thread asks for the interpreter lock at such a fork, the child cannot run Python at all. Reading lets go
    # of that lock: who waits for it is no sleeper then.
    return stepper.asleep and stepper._idle_limit() > 30 and b") S " in os.pread(state, 1000, 0)
while not sleeps():
    time.sleep(0.01)
os.close(state)
child = ctypes.PyDLL(None).fork()
if child == 0:
    logging.info("child")
    delivered = handler.flush()
    handler.close()
    os._exit(0 if delivered else 1)
assert os.waitpid(child, 0)[1] == 0
logging.info("after")
assert handler.flush()
assert handler._writer.delivery.database._connection.info.backend_pid == session
assert handler.stats().failures == 0
""",
        database.dsn,
        tmp_path,
    )
    check(done)
    found = writers(stored(database))
    assert sorted(map(sorted, found.values())) == [["after", "before"], ["child"]]
    assert list(tmp_path.iterdir()) == []

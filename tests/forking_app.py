"""A program that logs while its children do, and ends them in every way; run by the tests.

Arguments: the connection string, the spool directory, the durability, how many rounds of children. Prints as JSON what
must be in the table: how many records of each process, by name.
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from multiprocessing.context import ForkProcess
from pathlib import Path

from dblog import DatabaseLogHandler
from dblog.sinks import survey

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # that is the point

RECORDS = 300
ENDS = ("flush, os._exit", "flush, SIGKILL", "sys.exit", "close, SIGKILL")


class Family:
    """The parent, with a thread that logs without end, and its children.

    Args:
        handler: The handler of all.
    """

    def __init__(self, handler: DatabaseLogHandler) -> None:
        self.expected: dict[str, int] = {}
        self._handler = handler
        self._logger = logging.Logger("family")
        self._logger.addHandler(handler)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._log_on)

    def __enter__(self) -> "Family":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def log(self, name: str) -> None:
        """Log a child's share."""
        for number in range(RECORDS):
            self._logger.info("%s %d", name, number)
        self.expected[name] = RECORDS

    def fork(self, name: str, end: str) -> int:
        """Make a child by `os.fork`; returns its number."""
        child = os.fork()
        if child == 0:
            self._work(name, end)
        self.expected[name] = RECORDS
        return child

    def spawn(self, name: str, end: str) -> ForkProcess:
        """Make a child by `multiprocessing`, which is to be joined."""
        process = multiprocessing.get_context("fork").Process(target=self._work, args=(name, end))
        process.start()
        self.expected[name] = RECORDS
        return process

    def _log_on(self) -> None:
        number = 0
        while not self._stop.wait(0.0005):
            self._logger.info("parent %d", number)
            number += 1
        self.expected["parent"] = number

    def _work(self, name: str, end: str) -> None:
        self.log(name)
        if "flush" in end and not self._handler.flush(60):
            os._exit(1)
        if "close" in end:
            self._handler.close(60)
        if "SIGKILL" in end:
            os.kill(os.getpid(), signal.SIGKILL)
        if "os._exit" in end:
            os._exit(0)
        self._stop.set()
        sys.exit(0)


def main(dsn: str, spool_dir: str, durability: str, rounds: int) -> None:
    """Make eight children at once, again and again."""
    handler = DatabaseLogHandler(dsn, spool_dir=spool_dir, durability=durability, flush_interval=0.01, close_timeout=60)
    with Family(handler) as family:
        family.log("first")
        assert handler.flush(60)
        connection = handler._writer.delivery.database._connection
        assert connection is not None
        session, writer_id = connection.info.backend_pid, handler.stats().writer_id
        for number in range(rounds):
            forked = [family.fork(f"fork-{number}-{place}", end) for place, end in enumerate(ENDS)]
            spawned = [family.spawn(f"spawn-{number}-{place}", end) for place, end in enumerate(ENDS)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in forked]
            for process in spawned:
                process.join()
            assert codes == [process.exitcode for process in spawned] == [0, -signal.SIGKILL, 0, -signal.SIGKILL], codes
        holders = {writer.writer_id: writer.alive for writer in survey.writers(Path(spool_dir))}
        assert holders[writer_id], holders
        assert handler.flush(60)
        assert handler._writer.delivery.database._connection is connection
        assert connection.info.backend_pid == session
        assert handler.stats().failures == 0
    handler.close(60)
    print(json.dumps(family.expected))


if __name__ == "__main__":
    _, where, spool, safety, times = sys.argv
    main(where, spool, safety, int(times))

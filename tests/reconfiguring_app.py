"""An application that configures its logging again and again while its threads log, with drivers that log, too.

Arguments: the file for `dictConfig`, how often. Prints as JSON how many records each thread has logged, those for which
the standard library had no handler for a moment, and how many records the handler has counted for each of the last.
"""

import json
import logging.config
import sys
import threading
from itertools import pairwise
from pathlib import Path

import yaml

from dblog import DatabaseLogHandler

THREADS = 4
RECORDS_BETWEEN = 200
QUIET_RECORDS = 5


class Unhandled(logging.Handler):
    """Keeps the messages of records that found no handler."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.messages.append(record.getMessage())


class Load:
    """Threads that log until they are told to stop."""

    def __init__(self) -> None:
        self.counts = [0] * THREADS
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._threads = [threading.Thread(target=self._log, args=(number,)) for number in range(THREADS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_more(self) -> None:
        """Return when each thread has logged a number of further records."""
        with self._progress:
            goal = [count + RECORDS_BETWEEN for count in self.counts]
            self._progress.wait_for(lambda: all(map(int.__ge__, self.counts, goal)))

    def _log(self, number: int) -> None:
        logger = logging.getLogger(f"load.{number}")
        while not self._stop.wait(0.0002):
            logger.debug("%d %d", number, self.counts[number])
            with self._progress:
                self.counts[number] += 1
                self._progress.notify_all()


def quiet_growth(handler: DatabaseLogHandler) -> list[int]:
    """Log some records, each delivered before the next; returns how many the handler has counted for each."""
    totals = [sum(handler.stats().emitted.values())]
    for _ in range(QUIET_RECORDS):
        logging.getLogger("quiet").debug("quiet")
        assert handler.flush(60)
        totals.append(sum(handler.stats().emitted.values()))
    return [after - before for before, after in pairwise(totals)]


def main(file: Path, times: int) -> None:
    """Configure, log, configure again under load, and say what was logged."""
    unhandled = Unhandled()
    logging.lastResort = unhandled
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    logging.config.dictConfig(config)
    with Load() as load:
        for _ in range(times):
            load.await_more()
            logging.config.dictConfig(config)
        load.await_more()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, DatabaseLogHandler)
    assert handler.flush(60)
    grown = quiet_growth(handler)
    json.dump({"logged": load.counts, "unhandled": unhandled.messages, "grown": grown}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

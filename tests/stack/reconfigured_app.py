"""An application whose logging is configured again and again while other threads log.

Run as `reconfigured_app.py FILE`. Prints as JSON how many records it logged, and those for which the standard library
had no handler: between the removal of the old one and the attachment of the new one `dictConfig` leaves none.
"""

import json
import logging.config
import sys
import threading
from pathlib import Path

import yaml

THREADS = 3
TIMES = 4
RECORDS_BETWEEN = 200


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

    def start(self) -> None:
        """Begin to log."""
        for thread in self._threads:
            thread.start()

    def wait_for_more(self) -> None:
        """Return when each thread has logged a number of further records."""
        with self._progress:
            goal = [count + RECORDS_BETWEEN for count in self.counts]
            self._progress.wait_for(lambda: all(map(int.__ge__, self.counts, goal)))

    def stop(self) -> None:
        """Return when no thread logs any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _log(self, number: int) -> None:
        logger = logging.getLogger(f"load.{number}")
        while not self._stop.wait(0.0005):
            logger.error("%d-%d", number, self.counts[number])
            with self._progress:
                self.counts[number] += 1
                self._progress.notify_all()


def main(file: Path) -> None:
    """Configure, log, configure again under load, and say what was logged."""
    unhandled = Unhandled()
    logging.lastResort = unhandled
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    logging.config.dictConfig(config)
    load = Load()
    load.start()
    for _ in range(TIMES):
        load.wait_for_more()
        logging.config.dictConfig(config)
    load.wait_for_more()
    load.stop()
    json.dump({"logged": load.counts, "unhandled": unhandled.messages}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

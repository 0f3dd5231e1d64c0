"""A program that logs and suffers by order: one JSON array a line on stdin, one JSON value a line on stdout.

Arguments: the handler's arguments as JSON; a user ID to become, or nothing.

Orders: `["log", COUNT]` numbered records, the levels in turn; `["nofile"]` no file can be opened; `["free"]` again they
can; `["flush", SECONDS]`; `["stats"]`; `["close"]`.
"""

import json
import logging
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import fields
from itertools import count
from typing import Any

from dblog import DatabaseLogHandler

LEVELS = (logging.DEBUG, logging.INFO, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
MARK = "record-number-"
PADDING = "x" * 300


class Application:
    """Does what it is told.

    Args:
        arguments: The handler's.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._handler = DatabaseLogHandler(**arguments)
        # A twentieth of the pauses between tries, so that an outage is felt at once.
        self._handler._writer.delivery.pacing.jitter = lambda: -0.9
        self._logger = logging.Logger("ordered")
        self._logger.addHandler(self._handler)
        self._numbers = count()
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)

    def log(self, records: int) -> None:
        """Log that many records."""
        for _ in range(records):
            number = next(self._numbers)
            self._logger.log(LEVELS[number % len(LEVELS)], "%s%d %s", MARK, number, PADDING)

    def nofile(self) -> None:
        """Let no file be opened any more."""
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, self._limit[1]))

    def free(self) -> None:
        """Let files be opened again."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)

    def flush(self, timeout: float) -> bool:
        """Flush the handler."""
        return self._handler.flush(timeout)

    def stats(self) -> dict[str, Any]:
        """The figures of the handler."""
        stats = self._handler.stats()
        return {field.name: getattr(stats, field.name) for field in fields(stats)}

    def close(self) -> None:
        """Close the handler."""
        self._handler.close(120)


def main(arguments: str, user: str = "") -> None:
    """Follow orders until there are no more."""
    application = Application(json.loads(arguments))
    if user:  # not before: an ordinary user may not see where the interpreter is
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    for line in sys.stdin:
        order, *rest = json.loads(line)
        print(json.dumps(getattr(application, order)(*rest)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

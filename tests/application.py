"""An application that logs through one handler while its database suffers, and what it can prove afterwards."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

import psycopg
import pytest
from eventually import PATIENCE, eventually
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from stderr import said_so_far

from dblog import DatabaseLogHandler

ROW_TEXT = "what-only-the-row-may-say"
"""Stands in every message; a line of dblog's own that has it tells strangers what was logged."""


class Application:
    """Logs through a handler that has a spool, and keeps count.

    Args:
        handler: The handler.
        logger: Leads to the handler.
        conserved: Checks that every record is somewhere, and in one place only.
        capfd: What was written to stderr.
    """

    def __init__(
        self,
        handler: DatabaseLogHandler,
        logger: logging.Logger,
        conserved: Callable[[DatabaseLogHandler], None],
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self.handler = handler
        self.expected = Counter[str]()
        self._logger = logger
        self._conserved = conserved
        self._capfd = capfd
        self._logged = 0
        self._lock = threading.Lock()
        self._started = time.monotonic()
        # A twentieth of the pauses between tries: an outage of a second is then long enough to see all of it.
        handler._writer.delivery.pacing.jitter = lambda: -0.9

    def log(self, count: int = 100) -> Self:
        """Log that many records."""
        for number in range(self._logged, self._logged + count):
            self._logger.info("%s %d", ROW_TEXT, number)
            self.expected[f"{ROW_TEXT} {number}"] += 1
        self._logged += count
        return self

    def log_as(self, name: str, count: int) -> None:
        """Log that many records, from one thread among others, each with a name of its own."""
        with self._lock:
            numbers = range(self._logged, self._logged + count)
            self._logged += count
            self.expected.update(f"{ROW_TEXT} {name} {number}" for number in numbers)
        for number in numbers:
            self._logger.info("%s %s %d", ROW_TEXT, name, number)

    def survive(self, harm: Callable[[], object], repair: Callable[[], object], saying: str) -> None:
        """Log before, during and after an outage, which has to be announced with these words; all must be stored."""
        self.log()
        assert self.handler.flush(30)
        harm()
        self.log()
        self.await_outage(saying)
        repair()
        self.log()
        self.await_recovery()

    def await_outage(self, saying: str) -> None:
        """Wait until the database is given up for the time being and records are in the spool; stderr says why."""
        eventually(lambda: self.handler.stats().spooled.get(logging.INFO), "records in the spool")
        eventually(lambda: saying in (self.handler.stats().last_error or ""), f"the last error to be {saying!r}")
        self._conserved(self.handler)
        eventually(lambda: saying in self.said(), "the outage to be announced", 2 * PATIENCE)  # once a minute

    def await_failure(self, saying: str) -> None:
        """Wait until a try has failed; stderr says why."""
        eventually(lambda: saying in self.said(), "the failure to be announced")
        self._conserved(self.handler)

    def expect_refused(self, refused: Callable[[str], bool]) -> Self:
        """Expect all messages logged so far in the table but those that PostgreSQL refuses."""
        self.expected = Counter({message: count for message, count in self.expected.items() if not refused(message)})
        return self

    def await_recovery(self, timeout: float = PATIENCE) -> None:
        """Wait until everything is stored or refused."""

        def settled() -> bool:
            stats = self.handler.stats()
            return stats.stored.get(logging.INFO, 0) + stats.rejected.get(logging.INFO, 0) == self._logged

        eventually(settled, "everything to be stored", timeout)

    def said(self) -> str:
        """What has been written to stderr so far."""
        return said_so_far(self._capfd)

    def check(self, dsn: str, *tables: str) -> None:
        """Every record is in the tables (one by default) once, the figures add up, stderr has no secret and no row."""
        self.handler.close()
        found = messages(dsn, *tables)
        assert found == self.expected, f"lost: {self.expected - found}; too many: {found - self.expected}"
        self._conserved(self.handler)
        self.check_output(dsn)

    def check_output(self, dsn: str) -> None:
        """Neither stderr nor the figures have the password or a row; one line a minute at most tells of an outage."""
        told = self.said() + str(self.handler.stats())
        assert ROW_TEXT not in told
        password = conninfo_to_dict(dsn).get("password")
        assert not password or str(password) not in told
        announced = sum("does not take records" in line for line in self.said().splitlines())
        assert announced <= 1 + (time.monotonic() - self._started) // 60


def messages(dsn: str, *tables: str) -> Counter[str]:
    """The messages that an application logged, without what dblog itself notes there."""
    found = Counter[str]()
    with psycopg.connect(dsn) as connection:
        for table in tables or ("dblog_logs",):
            query = sql.SQL("SELECT message FROM {} WHERE message LIKE {}").format(
                sql.Identifier(table), sql.Literal(f"{ROW_TEXT}%")
            )
            found.update(row[0] for row in connection.execute(query))
    return found

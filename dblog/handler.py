"""`DatabaseLogHandler`: what an application attaches to its loggers."""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dblog import defaults, processes
from dblog.cells import MUTED, Cell, Cells
from dblog.errors import ConfigurationError
from dblog.linequeue import LINE_OVERHEAD, LineQueue
from dblog.row import level_number
from dblog.selflog import Announcer
from dblog.stats import HandlerStats, State

if TYPE_CHECKING:
    from dblog.settings import HandlerSettings

_WORKER: Final = processes.WORKER_THREAD
_PUBLISH_BYTES: Final = 16 * 1024
"""Bytes that a thread logs before it looks at the queue's bound: rare enough for a lock."""
_MAX_NESTING: Final = 8
"""Records that may be made while another one is encoded: by a `__str__` that logs, or a signal handler."""


class DatabaseLogHandler(logging.Handler):
    """A `logging.Handler` that brings records into PostgreSQL, through a queue and one background thread.

    The logging call encodes the record and appends it to a queue; it never waits for the database and never raises.

    Args:
        dsn: A libpq connection string or URI. What it does not say is taken from `PG*` variables or `PGSERVICE`.
        table_prefix: The tables are `{prefix}_logs` and `{prefix}_batches`; 1 to 32 of a-z, 0-9 and _.
        schema: The schema of the tables; None for the first one of the role's search_path.
        service: What the column `service` holds.
        level: Records below are ignored.
        batch_size: Records that make a batch full.
        batch_bytes: Bytes that make a batch full.
        flush_interval: Seconds that a record may wait for company; ERROR and above wait a tenth of a second at most.
        queue_max_bytes: Memory for waiting records, in bytes.
        overflow: When the queue is full: `spool` diverts the oldest records to the spool, or to stderr without one;
            `block` waits up to `block_timeout` for room, then does the same; `drop` drops what is below ERROR.
        block_timeout: Seconds.
        spool_dir: A folder for records that wait for the database; None for memory only.
        max_field_bytes: Longer messages, exceptions, stacks and extras are cut visibly.
        mask_keys: Words in the names of `extra` keys whose values are replaced by `***`.
        auto_create: Create and upgrade the tables at the first connection where the role may.
        partition_by: `hour`, `day`, `week` or `month`; for tables that are made now.
        partitions_ahead: Partitions that are made ahead of time.
        indexes: `minimal`, `standard` or `full`; for tables that are made now.
        connect_timeout: Seconds for one attempt to connect.
        query_timeout: Seconds for one batch.
        close_timeout: Seconds that `close()` and the end of the process may take.
        console_level: Records from this level on are on the console already; the fallback to stderr leaves them out.

    Raises:
        ConfigurationError: An argument cannot be used; it is named.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        table_prefix: str = defaults.TABLE_PREFIX,
        schema: str | None = None,
        service: str | None = None,
        level: int | str = logging.NOTSET,
        batch_size: int = defaults.BATCH_SIZE,
        batch_bytes: int | str = defaults.BATCH_BYTES,
        flush_interval: float = defaults.FLUSH_INTERVAL,
        queue_max_bytes: int | str = defaults.QUEUE_MAX_BYTES,
        overflow: str = "spool",
        block_timeout: float = defaults.BLOCK_TIMEOUT,
        spool_dir: str | Path | None = None,
        max_field_bytes: int | str = defaults.MAX_FIELD_BYTES,
        mask_keys: Iterable[str] = defaults.MASK_KEYS,
        auto_create: bool = True,
        partition_by: str = defaults.PARTITION_BY,
        partitions_ahead: int = defaults.PARTITIONS_AHEAD,
        indexes: str = defaults.INDEXES,
        connect_timeout: float = defaults.CONNECT_TIMEOUT,
        query_timeout: float = defaults.QUERY_TIMEOUT,
        close_timeout: float = defaults.CLOSE_TIMEOUT,
        console_level: int | None = None,
    ) -> None:
        if os.name == "nt":
            raise ConfigurationError("dblog does not work on Windows: it needs poll() and flock(); use Linux or macOS")
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        from dblog.config import handler_settings  # pydantic comes with the first handler, not with `import dblog`

        self.settings: HandlerSettings = handler_settings(arguments)
        self._assemble()
        super().__init__(self.settings.level)
        processes.register(self)

    def _assemble(self) -> None:
        """Make all that belongs to one process: identity, queue, connection (not yet opened), worker (not started)."""
        from dblog.assembly import make_delivery, make_encoder
        from dblog.worker import Worker, is_worker_thread

        hostname = socket.gethostname()
        self._announcer = Announcer()
        self._queue = LineQueue(self.settings.queue_max_bytes)
        self._append = self._queue.append
        self._encoder = make_encoder(self.settings, hostname)
        self._encode = self._encoder.encode
        self._delivery = make_delivery(self.settings, self._queue.writer_id, hostname, self._announcer)
        self._worker = Worker(self._queue, self._delivery, self._announcer)
        self._cells = Cells(mute=is_worker_thread, publish=self._queue.publish)
        self._started = time.monotonic()
        # With small batches each record is reported, or a batch would be full long before anybody knows.
        self._publish_bytes = min(_PUBLISH_BYTES, self.settings.batch_size // 100 * LINE_OVERHEAD)

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and take a record, without the lock that `logging.Handler` would take here."""
        if self.filters:
            outcome: object = self.filter(record)
            if not outcome:
                return False
            if isinstance(outcome, logging.LogRecord):  # since Python 3.12 a filter may replace the record
                record = outcome
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Encode a record and put it into the queue; never raises an Exception, never waits for the database."""
        cells = self._cells
        try:
            cell = cells.local.cell
        except AttributeError:
            cell = cells.new()
        if cell.depth >= _MAX_NESTING:
            self._refuse_nested(cell, record)
            return
        cell.depth += 1
        line = None
        try:
            if getattr(record, "threadName", None) == _WORKER:  # brought here by another thread, from a queue or buffer
                return
            level = record.levelno
            if self._queue.is_full and not self._has_room(level_number(level)):
                self._drop(cell, level)
                return
            line = self._encode(record)
            self._append(line)
            try:
                cell.counts[level] += 1
            except (KeyError, TypeError):  # the first of its level in this thread, or something that is no level
                level = level_number(level)
                cell.counts[level] = cell.counts.get(level, 0) + 1
            size = cell.size + len(line) + LINE_OVERHEAD
            cell.size = size if size < self._publish_bytes else self._publish(size)
            worker = self._worker
            if level >= logging.ERROR:
                if not worker.urgent:
                    worker.wake(urgent=True)
            elif worker.asleep:
                worker.wake()
            if worker.ended:
                worker.abandon()
        except Exception as error:  # noqa: BLE001 - logging must never become the application's trouble
            with suppress(Exception):  # at the limit of recursion even saying so may fail
                if line is None:
                    self._count_dropped(cell, record.levelno)
                self._announcer.announce("emit", f"a record could not be taken: {type(error).__name__}")
        finally:
            cell.depth -= 1

    def _publish(self, size: int) -> int:
        """Report what a thread has appended, and act on what that means; returns the thread's new count: 0."""
        self._queue.publish(size)
        chosen = self.settings
        if self._queue.is_full or len(self._queue) >= chosen.batch_size or self._queue.size >= chosen.batch_bytes:
            self._worker.wake()
        return 0

    def _has_room(self, level: int) -> bool:
        """Deal with a full queue; False where the record is to be dropped."""
        if self.settings.overflow == "drop":
            return level >= logging.ERROR and not self._queue.is_overfull
        if self.settings.overflow == "block":
            self._worker.wake()
            if self._queue.wait_for_room(self.settings.block_timeout):
                return True
        self._worker.relieve()
        return not self._queue.is_overfull

    def _drop(self, cell: Cell, level: object) -> None:
        self._count_dropped(cell, level)
        self._announcer.announce("overflow", "the queue is full and records are dropped; see overflow")

    def _refuse_nested(self, cell: Cell, record: logging.LogRecord) -> None:
        """Drop a record that is made while too many others are encoded; those of a worker's thread were never meant."""
        if cell.depth < MUTED:
            self._count_dropped(cell, record.levelno)
            self._announcer.announce(
                "nesting", f"records are dropped: the logger {record.name} logs while it is logged"
            )

    def _count_dropped(self, cell: Cell, level: object) -> None:
        number, tally = level_number(level), self._delivery.tally
        cell.counts[number] = cell.counts.get(number, 0) + 1
        with tally.lock:
            tally.dropped[number] += 1

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override] # the standard one returns nothing
        """Bring everything logged so far to the database.

        Args:
            timeout: Seconds; None for `close_timeout`.

        Returns:
            True where nothing of it waits any more, False when time ran out.
        """
        if self.closed:
            return True
        return self._worker.flush(self.settings.close_timeout if timeout is None else timeout)

    def close(self, timeout: float | None = None) -> None:
        """Deliver what waits, give up to the spool or stderr what cannot be delivered in time, and end the thread.

        What is logged afterwards goes straight to the spool or stderr. Where `dictConfig` or `fileConfig` close the
        handler, the thread goes on until loggers have their new handlers, and ends by itself.

        Args:
            timeout: Seconds; None for `close_timeout`.
        """
        if not self.closed:
            self._worker.close(self.settings.close_timeout if timeout is None else timeout)
        if self.closed:
            processes.forget(self)
        super().close()

    @property
    def close_timeout(self) -> float:
        """Seconds that `close()` and the end of the process may take."""
        return self.settings.close_timeout

    @property
    def closed(self) -> bool:
        """True once everything was delivered or given up and the thread has ended."""
        return self._worker.ended

    def stats(self) -> HandlerStats:
        """The figures of this handler in this process."""
        tally = self._delivery.tally
        pending = self._worker.waiting_batch()
        with tally.lock:
            return HandlerStats(
                emitted=self._cells.totals(),
                stored=+tally.stored,
                spooled=+tally.spooled,
                rejected=+tally.rejected,
                printed=+tally.printed,
                dropped=+tally.dropped,
                waiting=self._queue.levels() + Counter(pending.levels if pending is not None else {}),
                queue_bytes=max(0, self._queue.size),
                batches=tally.batches,
                failures=tally.failures,
                repaired=self._encoder.repaired,
                state=self._state(),
                last_error=tally.last_error,
                uptime=time.monotonic() - self._started,
                writer_id=self._queue.writer_id,
            )

    def _state(self) -> State:
        if self.closed:
            return "closed"
        if self._delivery.pacing.circuit_open:
            return "circuit open"
        if self._delivery.pacing.failures:
            return "retrying"
        return "connected" if self._delivery.database.connected else "idle"

    def restart_after_fork(self) -> None:
        """Begin anew in a forked child: what waits, and the connection, are the parent's."""
        self._delivery.abandon()
        self._assemble()

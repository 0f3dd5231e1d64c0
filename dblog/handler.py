"""`DatabaseLogHandler`: what an application attaches to its loggers."""

import logging
import os
from typing import TYPE_CHECKING

from dblog import defaults, processes
from dblog.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dblog.settings import HandlerSettings
    from dblog.stats import HandlerStats


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
            `block` waits up to `block_timeout` for room, then does the same; `drop` drops the lowest levels first.
        block_timeout: Seconds.
        durability: `memory`, or `journal`: each record is in a file before the logging call returns.
        spool_dir: A folder for records that wait for the database; `auto` finds one, `none` is memory only.
        spool_max_bytes: Bytes that the folder of one writer may take.
        spool_min_free: Bytes that stay free beside the spool, or a twentieth of the file system where that is less.
        spool_fsync: `never`, `interval` (each second) or `always`: when what was written there is brought to the disk.
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
        durability: str = defaults.DURABILITY,
        spool_dir: "str | Path | None" = defaults.SPOOL_DIR,
        spool_max_bytes: int | str = defaults.SPOOL_MAX_BYTES,
        spool_min_free: int | str = defaults.SPOOL_MIN_FREE,
        spool_fsync: str = defaults.SPOOL_FSYNC,
        max_field_bytes: int | str = defaults.MAX_FIELD_BYTES,
        mask_keys: "Iterable[str]" = defaults.MASK_KEYS,
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
        from dblog.writing.writer import Writer

        self._writer = Writer(self.settings, self._take_in_child)
        self._take = self._writer.take
        if type(self).emit is DatabaseLogHandler.emit:  # one call less for each record
            self.emit = self._take  # type: ignore[method-assign]

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
        self._take(record)

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override] # the standard one returns nothing
        """Bring everything logged so far to the database, or to the spool while the database is away.

        Args:
            timeout: Seconds; None for `close_timeout`.

        Returns:
            True where nothing of it waits in memory any more, False when time ran out. `stats().spooled` tells what
            has still a way to go.
        """
        self._be_of_this_process()
        if self.closed:
            return True
        return self._writer.worker.flush(self.settings.close_timeout if timeout is None else timeout)

    def close(self, timeout: float | None = None) -> None:
        """Deliver what waits, give up to the spool or stderr what cannot be delivered in time, and end the thread.

        What is logged afterwards goes straight to the spool or stderr. Where `dictConfig` or `fileConfig` close the
        handler, the thread goes on until loggers have their new handlers, and ends by itself.

        Args:
            timeout: Seconds; None for `close_timeout`.
        """
        self._be_of_this_process()
        try:
            if not self.closed:
                self._writer.worker.close(self.settings.close_timeout if timeout is None else timeout)
        except BaseException:  # a signal: somebody is in a hurry, so what waits goes to the spool now
            self._writer.worker.close(0.0)
            raise
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
        return self._writer.closed

    def stats(self) -> "HandlerStats":
        """The figures of this handler in this process."""
        self._be_of_this_process()
        return self._writer.stats()

    def restart_after_fork(self) -> None:
        """Begin anew in a forked child: what waits, and the connection, are the parent's."""
        self._writer.abandon()
        self._assemble()

    def _be_of_this_process(self) -> None:
        """Begin anew in a child that was forked past Python's hooks, by C code."""
        if self._writer.process_id != os.getpid():
            self.restart_after_fork()

    def _take_in_child(self, record: logging.LogRecord) -> None:
        self._be_of_this_process()
        self._take(record)

"""`ResilientRotatingFileHandler`: what takes the place of the standard library's rotating file handlers."""
# ruff: noqa: N803 - the standard library's names

import datetime
import logging
import math
import os
from collections.abc import Callable
from typing import Final, TextIO

from dblog import defaults
from dblog.config import file_settings
from dblog.errors import ConfigurationError
from dblog.files.dropin import DropIn
from dblog.files.fulldisk.fallback import Shown
from dblog.files.fulldisk.notify import StateChange
from dblog.files.metrics import FileMetrics
from dblog.files.writer import FileWriter

_NOT_SETTINGS: Final = frozenset({"self", "__class__", "fallback_stream", "on_state_change"})


class ResilientRotatingFileHandler(DropIn):
    """A drop-in for `logging.handlers.RotatingFileHandler` that survives a full disk.

    The logging call formats and encodes the record without a lock, puts the line into a buffer and, unless it may wait
    there, writes what waits. While the disk is full, lines go to the fallback stream and the call does not wait.

    Args:
        filename: The log file. Directories above it are made.
        mode: `a` appends, `w` empties the file first; with a rotation files are always appended to.
        maxBytes: Bytes that a file stays below, but for a single line that is longer; 0 for no limit.
        backupCount: Rotated files that are kept. 0 rotates nothing by size and keeps all that is rotated by time.
        encoding: The codec; None for that of the locale.
        delay: Open the file with the first record.
        errors: What becomes of characters that the codec does not have; None writes them as escapes.
        when: Rotate by time, too: `hourly`, `daily`, or the standard library's `S`, `M`, `H`, `D`, `midnight`, `W0` to
            `W6`; `never`.
        interval: How many of these units apart.
        utc: Days and names are in UTC instead of local time.
        atTime: The time of the day for rotation by days and weeks; None for midnight.
        naming: `index` (`app.log.1`), `timestamp` (`app.20261121_130501.log`) or `date` (`app.log.2026-11-21`).
        compression: `none`, `gzip` or `zstd`, in the background.
        compress_at_once: Compress after each rotation; False leaves it to quiet times.
        retention_days: Days that rotated files are kept; None for no limit.
        max_total_bytes: Bytes that all files take together, never exceeded; None for `maxBytes * (1 + backupCount)`,
            which yields to lines and files that are larger than a file should be.
        cleanup_interval: Seconds between two looks for files that are too old.
        log_rotation_events: Log each rotation, at INFO, to the logger `dblog.files`.
        emergency_cleanup_threshold_mb: MiB that an emergency clean-up frees when the disk is full.
        recovery_check_interval_sec: Seconds between two looks whether a full disk has room again.
        recovery_min_free_mb: MiB that have to be free then, or a twentieth of the file system where that is less.
        fallback_stream: Where lines go meanwhile: `stderr`, `stdout` or a text stream.
        webhook_url: Gets a POST with JSON when the state changes; None for none.
        on_state_change: Is called with a `StateChange`, in a thread of its own; None for none.
        retry_attempts: Further tries of a rotation after an error that passes.
        retry_base_delay: Seconds before the first of them; each waits twice as long as the one before.
        alert_path: The file that says that rotation failed; None for `ALERT_LOG_ROTATION_FAILED.txt` beside the log.
        buffer_size: Bytes that are written together; 0 writes each record before its call returns.
        flush_interval: Seconds that a record may wait in the buffer.
        flush_level: Records from this level on are written before their call returns.
        max_concurrent_writes: Lines that may wait for a slow disk before `overflow` applies.
        overflow: `block` has callers wait for the disk then, `drop` drops the line and counts it.
        fsync: `never`, `interval` (each second) or `always`: when what was written is brought to the disk.
        multi_process: Several processes write the same file.
        file_mode: Permissions of new files.
        dir_mode: Permissions of new directories.
        console_level: Records from this level on are on the console already; the fallback stream leaves them out.

    Raises:
        ConfigurationError: An argument cannot be used; it is named.
        OSError: The file cannot be opened, and a full disk is not the reason.
    """

    terminator = "\n"

    def __init__(
        self,
        filename: str | os.PathLike[str],
        mode: str = "a",
        maxBytes: int | str = 0,
        backupCount: int = 0,
        encoding: str | None = None,
        delay: bool = False,
        errors: str | None = None,
        *,
        when: str = "never",
        interval: int = 1,
        utc: bool = False,
        atTime: datetime.time | None = None,
        naming: str = "index",
        compression: str = "none",
        compress_at_once: bool = True,
        retention_days: float | None = None,
        max_total_bytes: int | str | None = None,
        cleanup_interval: float = defaults.FILE_CLEANUP_INTERVAL,
        log_rotation_events: bool = False,
        emergency_cleanup_threshold_mb: float = defaults.EMERGENCY_CLEANUP_THRESHOLD_MB,
        recovery_check_interval_sec: float = defaults.RECOVERY_CHECK_INTERVAL,
        recovery_min_free_mb: float = defaults.RECOVERY_MIN_FREE_MB,
        fallback_stream: str | TextIO = "stderr",
        webhook_url: str | None = None,
        on_state_change: Callable[[StateChange], object] | None = None,
        retry_attempts: int = defaults.ROTATION_RETRIES,
        retry_base_delay: float = defaults.ROTATION_RETRY_DELAY,
        alert_path: str | os.PathLike[str] | None = None,
        buffer_size: int | str = 0,
        flush_interval: float = defaults.FILE_FLUSH_INTERVAL,
        flush_level: int | str = logging.ERROR,
        max_concurrent_writes: int = defaults.MAX_CONCURRENT_WRITES,
        overflow: str = "block",
        fsync: str = "never",
        multi_process: bool = False,
        file_mode: int | str = defaults.FILE_MODE,
        dir_mode: int | str = defaults.DIR_MODE,
        console_level: int | str | None = None,
    ) -> None:
        if os.name == "nt":
            raise ConfigurationError("dblog does not work on Windows: it needs poll() and flock(); use Linux or macOS")
        arguments = {name: value for name, value in locals().items() if name not in _NOT_SETTINGS}
        if on_state_change is not None and not callable(on_state_change):
            raise ConfigurationError(f"on_state_change: {on_state_change!r} must be callable, with a StateChange")
        arguments["filename"] = os.path.abspath(name := os.fsdecode(filename))  # noqa: PTH100 - of text, as the attribute is
        if name.endswith(os.sep):
            arguments["filename"] += os.sep
        if isinstance(fallback_stream, str):
            arguments["fallback_stream"] = fallback_stream
        settings = file_settings(arguments)
        stream = None if isinstance(fallback_stream, str) else fallback_stream
        super().__init__(FileWriter(settings, fallback=stream, on_state_change=on_state_change))
        self._encoding, self._errors = self._writer.encoding.name, self._writer.encoding.errors
        self._flush_level = settings.flush_level
        self._shown_from = math.inf if settings.console_level is None else settings.console_level
        self._emits = self._overrides("emit", ResilientRotatingFileHandler)
        self.encoding = encoding
        self.errors = errors
        self.delay = delay
        if not delay:
            self._open_now()

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and write a record, without the lock that `logging.Handler` would take here."""
        if self.filters:
            outcome: object = self.filter(record)
            if not outcome:
                return False
            if isinstance(outcome, logging.LogRecord):  # since Python 3.12 a filter may replace the record
                record = outcome
        if self._emits:  # code of a subclass, which may count on the lock
            with self.lock:  # type: ignore[union-attr] # only code that switches locking off has none
                self.emit(record)
        else:
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what goes wrong in formatting it goes to `handleError`."""
        try:
            line = (self.format(record) + self.terminator).encode(self._encoding, self._errors)
            level = record.levelno or 0  # made by hand it may be None
            if level >= self._shown_from:
                line = Shown(line)
            if self._rolls:
                self._write_rolling(record, line)
            else:
                self._writer.write(line, level >= self._flush_level)
        except Exception:  # noqa: BLE001 - a logging call does not raise
            self.handleError(record)

    def rotate_now(self) -> bool:
        """Rotate by hand; False where the file is empty, could not be put away, or no new one can be opened.

        In a signal handler that interrupts a write of its own thread it does nothing, and returns False.
        """
        return self._writer.rotate()

    def clean(self) -> int:
        """Delete rotated files that are too many, too old or too much; returns how many.

        In a signal handler that interrupts a write of its own thread it does nothing, and returns 0.
        """
        return self._writer.clean()

    def reopen(self) -> None:
        """Close the file, so that the next record opens what the path names then: for a SIGHUP of `logrotate`.

        In a signal handler that interrupts a write of its own thread it does nothing; records look for themselves
        whether the path still leads to the open file.
        """
        self._writer.release()

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override] # the standard one returns nothing
        """Write what waits in the buffer.

        Args:
            timeout: Seconds; None for as long as it takes.

        Returns:
            True where nothing waits any more that was logged before.
        """
        return self._writer.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, close the file and end the threads.

        A record that comes afterwards opens the file for itself alone.

        Args:
            timeout: Seconds; None for as long as it takes.
        """
        self._writer.close(timeout)
        logging.Handler.close(self)

    def metrics(self) -> FileMetrics:
        """The figures of this handler in this process."""
        return self._writer.metrics()

    @property
    def is_degraded(self) -> bool:
        """True while the file cannot be written and lines go to the fallback stream."""
        return self._writer.outlet.standby.state.is_degraded

    @property
    def error_count(self) -> int:
        """Operations on the file that failed, tries to recover included."""
        return self._writer.outlet.standby.state.error_count

    @property
    def last_error_time(self) -> float | None:
        """When the last one failed, in seconds since 1970; None where none has."""
        return self._writer.outlet.standby.state.last_error_time

    @property
    def recovery_attempts(self) -> int:
        """Times that a file which could not be written was tried again."""
        return self._writer.outlet.standby.state.recovery_attempts

    def _open_now(self) -> None:
        try:
            self._writer.open()
        except OSError:
            self._writer.close()
            logging.Handler.close(self)
            raise

"""What a log file is given: its bounds, its rotation, and what happens when the disk is full.

`FileSettings` has the defaults of the standard library's handlers: no rotation and no buffer unless asked for.
`FileLogSettings` is the section `logging.file` of `config.yml`, `StreamSettings` what a `LogManager` gives its
writers; each has defaults for what it is there for.
"""

import datetime
import logging
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, model_validator

from dblog import defaults
from dblog.fields import Fsync, Level, Seconds, Section, Text

Naming = Literal["index", "timestamp", "date"]
Compression = Literal["none", "gzip", "zstd"]
FileOverflow = Literal["block", "drop"]
_UNITS = ("S", "M", "H", "D", "MIDNIGHT", "HOURLY", "DAILY", "NEVER")


def _when(value: str) -> str:
    upper = value.upper()
    if upper not in _UNITS and not re.fullmatch("W[0-6]", upper):
        raise ValueError("is no time of rotation; accepted: hourly, daily, never, S, M, H, D, midnight, W0 to W6")
    return upper


def _path(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _mode(value: object) -> object:
    """Take `0640` from YAML or a variable for what it means: YAML 1.1 gives an octal number, text is text."""
    if isinstance(value, str):
        if not re.fullmatch("(0o)?[0-7]{3,5}", value):
            raise ValueError("is no file mode; accepted: three or four octal digits, as in 0640")
        return int(value.removeprefix("0o"), 8)
    return value


When = Annotated[str, AfterValidator(_when)]
FilePath = Annotated[Text, BeforeValidator(_path)]
Mode = Annotated[int, BeforeValidator(_mode), Field(ge=0o200, le=0o7777)]
Megabytes = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class FileSettings(Section):
    """Everything that a writer of log files takes, with the standard library's defaults."""

    filename: FilePath
    mode: Literal["a", "w"] = "a"
    max_bytes: ByteSize = Field(default=ByteSize(0), alias="maxBytes", ge=0)
    """Bytes at which a file is rotated; 0 for no such limit."""
    backup_count: int = Field(default=0, alias="backupCount", ge=0, le=1_000_000)
    """Rotated files that are kept; 0 rotates nothing by size and keeps everything that is rotated by time."""
    encoding: Text | None = None
    delay: bool = False
    errors: Text | None = None
    when: When = "NEVER"
    interval: int = Field(default=1, ge=1, le=10_000)
    utc: bool = False
    at_time: datetime.time | None = Field(default=None, alias="atTime")
    naming: Naming = "index"
    compression: Compression = "none"
    compress_at_once: bool = True
    """False: only when traffic is low, or on demand."""
    retention_days: float | None = Field(default=None, gt=0, le=36_500, allow_inf_nan=False)
    max_total_bytes: ByteSize | None = Field(default=None, ge=1)
    """Bytes of all files together; None: `max_bytes * (1 + backup_count)` where both are given."""
    cleanup_interval: float = Field(default=defaults.FILE_CLEANUP_INTERVAL, gt=0, le=31_536_000, allow_inf_nan=False)
    log_rotation_events: bool = False
    """Log each rotation, at INFO, to the logger `dblog.files`."""
    emergency_cleanup_threshold_mb: Megabytes = defaults.EMERGENCY_CLEANUP_THRESHOLD_MB
    recovery_check_interval_sec: Seconds = defaults.RECOVERY_CHECK_INTERVAL
    recovery_min_free_mb: Megabytes = defaults.RECOVERY_MIN_FREE_MB
    fallback_stream: Literal["stderr", "stdout"] = "stderr"
    webhook_url: Text | None = None
    retry_attempts: int = Field(default=defaults.ROTATION_RETRIES, ge=0, le=20)
    retry_base_delay: Seconds = defaults.ROTATION_RETRY_DELAY
    alert_path: FilePath | None = None
    """None: `ALERT_LOG_ROTATION_FAILED.txt` beside the file."""
    buffer_size: ByteSize = Field(default=ByteSize(0), ge=0, le=64 * 1024 * 1024)
    """Bytes that are written together; 0 writes each record before its call returns."""
    flush_interval: Seconds = defaults.FILE_FLUSH_INTERVAL
    flush_level: Level = logging.ERROR
    """Records from this level on are written before their call returns."""
    max_concurrent_writes: int = Field(default=defaults.MAX_CONCURRENT_WRITES, ge=1, le=10_000_000)
    """Lines that may wait for a disk that is slow before `overflow` applies."""
    overflow: FileOverflow = "block"
    fsync: Fsync = "never"
    multi_process: bool = False
    """Several processes write the same file."""
    file_mode: Mode = defaults.FILE_MODE
    dir_mode: Mode = defaults.DIR_MODE

    @model_validator(mode="after")
    def _bounds_fit_together(self) -> "FileSettings":
        if self.max_total_bytes is not None and self.max_total_bytes < self.max_bytes:
            raise ValueError(
                f"max_total_bytes {int(self.max_total_bytes)} must not be less than max_bytes {int(self.max_bytes)}"
            )
        return self

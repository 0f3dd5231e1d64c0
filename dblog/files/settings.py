"""What a log file is given: its bounds, its rotation, and what happens when the disk is full.

`FileSettings` has the defaults of the standard library's handlers: no rotation and no buffer unless asked for.
`FileLogSettings` is the section `logging.file` of `config.yml`, `StreamSettings` what a `LogManager` gives its
writers; each has defaults for what it is there for.
"""

import codecs
import datetime
import logging
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, model_validator

from dblog import defaults
from dblog.fields import Fsync, Level, Seconds, Section, Text, TextFormat
from dblog.validation import validated

Naming = Literal["index", "timestamp", "date"]
Compression = Literal["none", "gzip", "zstd"]
FileOverflow = Literal["block", "drop"]
LineFormat = Literal["text", "json"]
_UNITS = ("S", "M", "H", "D", "MIDNIGHT", "HOURLY", "DAILY", "NEVER")


def _when(value: str) -> str:
    upper = value.upper()
    if upper not in _UNITS and not re.fullmatch("W[0-6]", upper):
        raise ValueError("is no time of rotation; accepted: hourly, daily, never, S, M, H, D, midnight, W0 to W6")
    return upper


def _path(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _of_a_file(value: str) -> str:
    if os.path.basename(value) in ("", ".", ".."):  # noqa: PTH119 - a Path forgets the slash at the end
        raise ValueError("is a folder; accepted: the path of a file, as in /var/log/app/app.log")
    return value


def _at_home(value: str) -> str:
    """Put the user's home in the place of `~`, as a shell does."""
    expanded = os.path.expanduser(value)  # noqa: PTH111 - of text, as the setting is
    if expanded.startswith("~"):
        raise ValueError("begins with a home that is not known; accepted: an absolute path, or ./ before the ~")
    return expanded


def _mode(value: object) -> object:
    """Take `0640` from YAML or a variable for what it means: YAML 1.1 gives an octal number, text is text."""
    if isinstance(value, str):
        if not re.fullmatch("(0o)?[0-7]{3,5}", value):
            raise ValueError("is no file mode; accepted: three or four octal digits, as in 0640")
        return int(value.removeprefix("0o"), 8)
    return value


def _usable_mode(value: int) -> int:
    """Refuse what nobody means: 640 without its zero is 01200, with the sticky bit, as are all that look like it."""
    if value & 0o1000 or not value & 0o200 or not 0 <= value <= 0o7777:
        raise ValueError("is no mode that lets its owner write; accepted: octal digits with a leading 0, as in 0640")
    return value


def _time_of_day(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("is a number to YAML; accepted: a time of day in quotes, as in '12:30'")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https:// and names a host")
    return value


def _encoding(value: str) -> str:
    try:
        "".encode("utf-8" if value == "locale" else value)
    except LookupError:
        raise ValueError("is no encoding of text that Python knows; accepted: utf-8, latin-1, locale, ...") from None
    return value


def _error_handler(value: str) -> str:
    try:
        codecs.lookup_error(value)
    except LookupError:
        raise ValueError("is no error handler of codecs; accepted: strict, backslashreplace, replace, ...") from None
    return value


When = Annotated[str, AfterValidator(_when)]
TimeOfDay = Annotated[datetime.time, BeforeValidator(_time_of_day)]
FilePath = Annotated[Text, BeforeValidator(_path), AfterValidator(_of_a_file)]
HomePath = Annotated[FilePath, AfterValidator(_at_home)]
Mode = Annotated[int, BeforeValidator(_mode), AfterValidator(_usable_mode)]
Megabytes = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)]
Url = Annotated[Text, AfterValidator(_url)]
Encoding = Annotated[Text, AfterValidator(_encoding)]
ErrorHandler = Annotated[Text, AfterValidator(_error_handler)]


class RotationSettings(Section):
    """How files are rotated, compressed, bounded and written, whoever writes them."""

    max_bytes: ByteSize = Field(default=ByteSize(0), ge=0)
    """Bytes at which a file is rotated; 0 for no such limit."""
    backup_count: int = Field(default=0, ge=0, le=1_000_000)
    """Rotated files that are kept; 0 rotates nothing by size and keeps everything that is rotated by time."""
    when: When = "NEVER"
    interval: int = Field(default=1, ge=1, le=10_000)
    utc: bool = False
    at_time: TimeOfDay | None = None
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
    webhook_url: Url | None = None
    retry_attempts: int = Field(default=defaults.ROTATION_RETRIES, ge=0, le=20)
    retry_base_delay: Seconds = defaults.ROTATION_RETRY_DELAY
    alert_path: FilePath | None = None
    """None: `ALERT_LOG_ROTATION_FAILED.txt` beside the file."""
    buffer_size: ByteSize = Field(default=ByteSize(0), ge=0, le=64 * 1024 * 1024)
    """Bytes that are written together; 0 writes each record before its call returns."""
    flush_interval: Seconds = defaults.FILE_FLUSH_INTERVAL
    max_concurrent_writes: int = Field(default=defaults.MAX_CONCURRENT_WRITES, ge=1, le=10_000_000)
    """Lines that may wait for a disk that is slow before `overflow` applies."""
    overflow: FileOverflow = "block"
    fsync: Fsync = "never"
    multi_process: bool = False
    """Several processes write the same file."""
    file_mode: Mode = defaults.FILE_MODE
    dir_mode: Mode = defaults.DIR_MODE

    @model_validator(mode="after")
    def _bounds_fit_together(self) -> "RotationSettings":
        if self.max_total_bytes is not None and self.max_total_bytes < self.max_bytes:
            raise ValueError(
                f"max_total_bytes {int(self.max_total_bytes)} must not be less than max_bytes {int(self.max_bytes)}"
            )
        return self


class FileSettings(RotationSettings):
    """Everything that a `ResilientRotatingFileHandler` takes, with the standard library's names and defaults."""

    filename: FilePath
    mode: Literal["a", "w"] = "a"
    max_bytes: ByteSize = Field(default=ByteSize(0), alias="maxBytes", ge=0)
    backup_count: int = Field(default=0, alias="backupCount", ge=0, le=1_000_000)
    encoding: Encoding | None = None
    delay: bool = False
    errors: ErrorHandler | None = None
    flush_level: Level = logging.ERROR
    """Records from this level on are written before their call returns."""
    console_level: Level | None = None
    """Records from this level on are on the console already, so that the fallback stream leaves them out."""
    at_time: TimeOfDay | None = Field(default=None, alias="atTime")


class FileLogSettings(RotationSettings):
    """`logging.file`: plain lines in a file, beside the database or alone."""

    enabled: bool = False
    path: HomePath | None = None
    level: Level = logging.NOTSET
    format: LineFormat = "text"
    text_format: TextFormat = defaults.CONSOLE_FORMAT
    escape: bool = False
    """Text: write control characters as escapes, so that a record is one line, with its traceback."""
    encoding: Encoding = "utf-8"
    errors: ErrorHandler = "backslashreplace"
    flush_level: Level = logging.ERROR
    """Records from this level on are written before their call returns."""
    max_bytes: ByteSize = Field(default=ByteSize(defaults.FILE_MAX_BYTES), ge=0)
    backup_count: int = Field(default=defaults.FILE_BACKUPS, ge=0, le=1_000_000)
    compression: Compression = "gzip"
    retention_days: float | None = Field(default=defaults.FILE_RETENTION_DAYS, gt=0, le=36_500, allow_inf_nan=False)

    @model_validator(mode="after")
    def _can_be_written(self) -> "FileLogSettings":
        if self.enabled and self.path is None:
            raise ValueError("must have a path where it is enabled, as in path: /var/log/app/app.log")
        return self

    def file_settings(self) -> FileSettings:
        """What the handler takes of this section."""
        own = set(FileLogSettings.model_fields) - set(FileSettings.model_fields)
        return validated(FileSettings, {"filename": str(self.path), **self.model_dump(exclude=own)})


class StreamSettings(RotationSettings):
    """What a `LogManager` gives its writers."""

    max_bytes: ByteSize = Field(default=ByteSize(defaults.FILE_MAX_BYTES), ge=0)
    backup_count: int = Field(default=defaults.STREAM_FILES, alias="max_files", ge=0, le=1_000_000)
    encoding: Encoding = "utf-8"
    errors: ErrorHandler = "backslashreplace"
    compression: Compression = "gzip"
    retry_attempts: int = Field(default=defaults.STREAM_RETRIES, ge=0, le=20)
    buffer_size: ByteSize = Field(default=ByteSize(defaults.FILE_BUFFER_SIZE), ge=0, le=64 * 1024 * 1024)
    close_timeout: Seconds = defaults.CLOSE_TIMEOUT

    def file_settings(self, path: Path) -> FileSettings:
        """What the writer of one stream takes."""
        own = set(StreamSettings.model_fields) - set(FileSettings.model_fields)
        return validated(FileSettings, {"filename": str(path), **self.model_dump(exclude=own)})

"""Formatters for files: JSON lines, and text in which one record is one line."""

import json
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dblog import defaults
from dblog.copytext import cut
from dblog.escapes import printable, printable_json
from dblog.writing.attributes import (
    added_names,
    class_name,
    extra_of,
    message_of,
    shown,
    task_of,
    trace_of,
)
from dblog.writing.extra import ExtraEncoder
from dblog.writing.tracebacks import Tracebacks

_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class _Formatter(logging.Formatter):
    """A `logging.Formatter` to which an exception that it knows costs little."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tracebacks = Tracebacks(str)

    def formatException(self, ei: "logging._SysExcInfoType") -> str:  # noqa: N802 - the standard library's name
        """The traceback, as the standard library has it."""
        return self._tracebacks.format(*ei)


class TextFormatter(_Formatter):
    r"""A `logging.Formatter` whose output can be one line for each record.

    Line feeds, NUL, what steers terminals and everything else that ends a line somewhere are written as escapes (`\n`,
    `\x1b`), also in a traceback; tabs stay. Nobody can forge a line by what they have logged.

    Args:
        fmt: As for `logging.Formatter`.
        datefmt: As for `logging.Formatter`.
        style: As for `logging.Formatter`.
        validate: As for `logging.Formatter`.
        escape: False to write records as `logging.Formatter` does.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: "logging._FormatStyle" = "%",
        validate: bool = True,
        *,
        escape: bool = True,
    ) -> None:
        super().__init__(fmt, datefmt, style, validate)
        self._escape = escape

    def format(self, record: logging.LogRecord) -> str:
        """The text of the record."""
        text = super().format(record)
        return printable(text) if self._escape else text


class JsonFormatter(_Formatter):
    """One JSON object a line for each record.

    `timestamp` (ISO 8601, in UTC), `level`, `logger`, `message`, `process`, `thread`, `module`, `function`, `path` and
    `line` are always there; `service`, `task`, `trace_id`, `span_id`, `exception_type`, `exception`, `stack` and
    `extra` where the record has them. Formatting never raises, whatever the record holds.

    Args:
        service: The name of the application in each line; None for no such key.
        mask_keys: Words in the names of `extra` keys whose values are replaced by `***`.
        max_field_bytes: Longer messages, exceptions, stacks and extras are cut visibly.
    """

    def __init__(
        self,
        *,
        service: str | None = None,
        mask_keys: Iterable[str] = defaults.MASK_KEYS,
        max_field_bytes: int = defaults.MAX_FIELD_BYTES,
    ) -> None:
        super().__init__()
        self._service = {} if service is None else {"service": service}
        self._max_field_bytes = max_field_bytes
        self._extra = ExtraEncoder(max_bytes=max_field_bytes, mask_keys=mask_keys, repaired=_nothing)
        self._careful = ExtraEncoder(max_bytes=8 * max_field_bytes, mask_keys=(), repaired=_nothing)

    def format(self, record: logging.LogRecord) -> str:
        """The JSON of the record, in one line."""
        try:
            text = _dump(self._fields(record, record.getMessage()))
        except Exception:  # noqa: BLE001 - whatever is odd about a record, it is not lost
            text = self._format_carefully(record)
        extra = extra_of(record, added_names(record))
        return printable_json(f'{text[:-1]},"extra":{self._extra.encode(extra)}}}' if extra else text)

    def _fields(self, record: logging.LogRecord, message: str) -> dict[str, object]:
        fields: dict[str, object] = {
            "timestamp": _iso(record.created),
            "level": record.levelname,
            "logger": record.name,
            **self._service,
            "message": cut(message, self._max_field_bytes),
            "process": record.process,
            "thread": record.threadName,
            "module": record.module,
            "function": record.funcName,
            "path": record.pathname,
            "line": record.lineno,
        }
        trace, span = trace_of(record)
        context = {"task": task_of(record), "trace_id": trace, "span_id": span}
        fields.update((name, value) for name, value in context.items() if value is not None)
        if record.exc_info or record.exc_text or record.stack_info:
            fields.update(self._texts(record))
        return fields

    def _texts(self, record: logging.LogRecord) -> dict[str, object]:
        texts: dict[str, object] = {}
        info = record.exc_info
        if isinstance(info, tuple) and info[0] is not None:
            texts["exception_type"] = class_name(info[0])
            texts["exception"] = cut(self.formatException(info), self._max_field_bytes)
        elif record.exc_text:
            texts["exception"] = cut(record.exc_text, self._max_field_bytes)
        if record.stack_info:
            texts["stack"] = cut(record.stack_info, self._max_field_bytes)
        return texts

    def _format_carefully(self, record: logging.LogRecord) -> str:
        """The JSON of a record in which something is odd; what cannot be had is left out."""
        message = message_of(record)
        complete = logging.makeLogRecord(record.__dict__)  # gives a default to each attribute that is missing
        try:
            fields = self._fields(complete, message)
        except Exception as error:  # noqa: BLE001 - the message and who logged it are worth a line of their own
            fields = {
                "timestamp": _iso(complete.created),
                "level": shown(complete.levelname),
                "logger": shown(complete.name),
                **self._service,
                "message": f"{message} [dblog: the rest could not be formatted: {type(error).__name__}]",
            }
        return self._careful.encode(fields)


def _iso(created: object) -> str:
    """A time in UTC with microseconds; that of the call for one that is none."""
    try:
        when = datetime.fromtimestamp(created, UTC)  # type: ignore[arg-type] # whatever it is
    except (TypeError, ValueError, OverflowError, OSError):
        when = datetime.fromtimestamp(time.time(), UTC)
    return when.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _nothing() -> None:
    """What is repaired in an extra is visible in the line; nobody counts it."""

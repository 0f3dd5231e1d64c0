"""The parts of a line: what a record says, field by field, as COPY reads it."""

import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final

from dblog.copytext import NULL, before_escape, cut, escape, is_storable, make_storable
from dblog.writing.attributes import added_names, class_name, extra_of, is_traced, shown, trace_of
from dblog.writing.extra import ExtraEncoder
from dblog.writing.tracebacks import Tracebacks

_NO_FAILURE: Final = "\t".join([NULL] * 3)
UNTRACED: Final = "\t".join([NULL] * 5)
"""The fields from trace_id to stack_info of most records."""
NOTHING: Final = f"{UNTRACED}\t{NULL}"
"""The fields from trace_id to extra_data of a record without `extra`."""
MODULES: Final = sys.modules
TRACER: Final = "opentelemetry.trace"
"""The module that knows the current span, where it is loaded."""
_NAME_BYTES: Final = 1000  # an entry of a btree holds 2,704 bytes, of logger and level together
_LEVEL_BYTES: Final = 200


class LineParts:
    """Makes the parts, and counts what has to be changed for them.

    Args:
        service: The service column; None for NULL.
        hostname: The hostname column.
        max_field_bytes: Longer messages, exceptions, stacks and extras are cut visibly.
        mask_keys: Words of `extra` keys whose values are masked.
    """

    def __init__(self, *, service: str | None, hostname: str, max_field_bytes: int, mask_keys: Iterable[str]) -> None:
        self.repaired = 0
        self.short = max_field_bytes // 4
        """That many characters fit, whatever they are."""
        self.extra = ExtraEncoder(max_bytes=max_field_bytes, mask_keys=mask_keys, repaired=self.count_repair)
        self._tracebacks = Tracebacks(escape)
        self._lock = threading.RLock()  # re-entrant: a signal handler may log an odd record, too
        self._service = service
        self._hostname = hostname
        self._max_field_bytes = max_field_bytes

    def site(self, record: logging.LogRecord) -> str:
        """The fields from level_no to pathname, which are the same each time a line of code logs."""
        return "\t".join(
            (
                str(level_number(record.levelno)),
                self._name(record.levelname, _LEVEL_BYTES),
                self._name(record.name),
                NULL if self._service is None else self._name(self._service),
                self._name(self._hostname),
                _integer(record.process, 31),
                self._name_or_null(record.module),
                self._name_or_null(record.funcName),
                self._name_or_null(record.filename),
                _integer(record.lineno, 31),
                self._name_or_null(record.pathname),
            )
        )

    def thread(self, record: logging.LogRecord, task: object) -> str:
        """The fields thread_id, thread_name and task_name."""
        name = self._name_or_null(record.threadName)
        return f"{_integer(record.thread, 63)}\t{name}\t{self._name_or_null(task)}"

    def details(self, record: logging.LogRecord, original_timestamp: str | None) -> str:
        """The fields from trace_id to extra_data, which most records do not have."""
        names = added_names(record)
        extra = extra_of(record, names) if names else {}
        if original_timestamp is not None:
            extra["original_timestamp"] = original_timestamp
        traced = TRACER in MODULES or (names and is_traced(names))
        trace, span = self._trace(record) if traced else (NULL, NULL)
        has_failed = record.exc_info or record.exc_text or record.stack_info
        failure = self.failure(record) if has_failed else _NO_FAILURE
        data = escape(self.extra.encode(extra)) if extra else NULL
        return f"{trace}\t{span}\t{failure}\t{data}"

    def _trace(self, record: logging.LogRecord) -> tuple[str, str]:
        try:
            trace, span = trace_of(record)
        except Exception:  # noqa: BLE001 - a tracer that is half loaded must not cost the rest of the record
            self.count_repair()
            return NULL, NULL
        return self._name_or_null(trace), self._name_or_null(span)

    def failure(self, record: logging.LogRecord) -> str:
        """The fields exception_type, exception and stack_info."""
        stack = self.text(shown(record.stack_info)) if record.stack_info else NULL
        info, kind, exception = record.exc_info, NULL, NULL
        if isinstance(info, tuple) and info[0] is not None:
            kind, exception = self._name(class_name(info[0])), self._traceback(*info)
        elif record.exc_text:
            exception = self.text(shown(record.exc_text))
        return f"{kind}\t{exception}\t{stack}"

    def _traceback(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
        try:
            text = self._tracebacks.format(kind, error, trace)
        except Exception as broken:  # noqa: BLE001 - an exception that cannot even be shown still has a type
            self.count_repair()
            text = f"{class_name(kind)}: <its traceback could not be formatted: {type(broken).__name__}>"
            return self.text(text)
        return text if len(text) <= self.short and is_storable(text) else self.text(before_escape(text))

    def text(self, text: str) -> str:
        """A long text: storable, cut if need be, escaped."""
        if not is_storable(text):
            self.count_repair()
            text = make_storable(text)
        if len(text) > self.short:
            whole, text = text, cut(text, self._max_field_bytes)
            if text is not whole:
                self.count_repair()
        return escape(text)

    def _name(self, value: object, max_bytes: int = _NAME_BYTES) -> str:
        """A short text, which may stand in an index."""
        text = shown(value)
        if len(text) * 4 <= max_bytes and is_storable(text):
            return escape(text)
        storable = cut(make_storable(text), max_bytes)
        if storable != text:
            self.count_repair()
        return escape(storable)

    def _name_or_null(self, value: object) -> str:
        return NULL if value is None else self._name(value)

    def count_repair(self) -> None:
        """Count a value that had to be changed."""
        with self._lock:
            self.repaired += 1


def level_number(value: object) -> int:
    """A level as the column holds it; 0 for what is no level."""
    return int(value) if isinstance(value, int | float) and abs(value) < 2**31 else 0


def _integer(value: object, bits: int) -> str:
    """A number that the column can hold, else NULL."""
    return str(int(value)) if isinstance(value, int | float) and abs(value) < 2**bits else NULL

"""From a `LogRecord` to one line of COPY text, in the thread of the caller.

Most of a record is the same each time a line of code logs, so that part is built once for each call site, and another
once for each thread. What is odd about a record (an attribute of the wrong type, a message that cannot be merged)
leads to the careful way, which keeps whatever can be kept.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from dblog.copytext import NULL, cut, escape, is_storable, make_storable
from dblog.defaults import FUTURE_WINDOW_DAYS, PAST_WINDOW_DAYS
from dblog.writing.attributes import (
    STANDARD_COUNT,
    added_names,
    class_name,
    extra_of,
    message_of,
    shown,
    task_of,
    trace_of,
)
from dblog.writing.extra import ExtraEncoder

TIMESTAMP_WIDTH: Final = len("2026-11-21 05:33:55.123456+00")

_NOTHING: Final = "\t".join([NULL] * 7)  # task_name to extra_data
_NAME_BYTES: Final = 1000  # an entry of a btree holds 2,704 bytes, of logger and level together
_LEVEL_BYTES: Final = 200
_CACHE_SIZE: Final = 8192
_DAY: Final = 86_400


class RowEncoder:
    """Encodes records; one instance serves all threads of a handler.

    Args:
        service: The service column; None for NULL.
        hostname: The hostname column.
        max_field_bytes: Longer messages, exceptions, stacks and extras are cut visibly.
        mask_keys: Words of `extra` keys whose values are masked.
        clock: Seconds since the epoch; decides which timestamps are believed.
    """

    def __init__(
        self,
        *,
        service: str | None,
        hostname: str,
        max_field_bytes: int,
        mask_keys: Iterable[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.repaired = 0
        self._lock = threading.RLock()  # re-entrant: a signal handler may log an odd record, too
        self._service = service
        self._hostname = hostname
        self._max_field_bytes = max_field_bytes
        self._short = max_field_bytes // 4  # that many characters fit, whatever they are
        self._extra = ExtraEncoder(max_bytes=max_field_bytes, mask_keys=mask_keys, repaired=self._count_repair)
        self._clock = clock
        self._sites: dict[tuple[object, ...], str] = {}
        self._threads: dict[tuple[object, ...], str] = {}
        self._second: tuple[float, str] = (float("nan"), "")
        self._believed = (0.0, 0.0)

    def encode(self, record: logging.LogRecord) -> bytes:
        """One line that ends with a newline and lacks only the fields of the batch; never raises an Exception."""
        try:
            return self._encode(record).encode()
        except Exception:  # noqa: BLE001 - whatever is odd about a record, it is not lost
            self._count_repair()
            return self._encode_carefully(record)

    def _encode(self, record: logging.LogRecord) -> str:
        site_key = (
            record.name,
            record.levelno,
            record.levelname,
            record.pathname,
            record.lineno,
            record.funcName,
            record.process,
        )
        site = self._sites.get(site_key)
        if site is None:
            site = self._remember(self._sites, site_key, self._site(record))
        thread_key = (record.thread, record.threadName)
        thread = self._threads.get(thread_key)
        if thread is None:
            thread = self._remember(self._threads, thread_key, self._thread(record))
        message = record.msg if not record.args and type(record.msg) is str else record.getMessage()
        if len(message) > self._short or not message.isprintable() or "\\" in message:
            message = self._text(message)
        created = record.created
        second = int(created)
        known, text = self._second
        if second == known:
            stamp, original = f"{text}.{min(round((created - second) * 1_000_000), 999_999):06d}+00", None
        else:
            stamp, original = self._stamp(created)
        return f"{stamp}\t{site}\t{thread}\t{self._rest(record, original)}\t{message}\n"

    def _stamp(self, created: float) -> tuple[str, str | None]:
        """The timestamp; for one that nobody can believe the time of the call, and what the record said."""
        earliest, latest = self._believed
        if not earliest <= created <= latest:
            now = self._clock()
            self._believed = earliest, latest = (
                now - (PAST_WINDOW_DAYS - 1) * _DAY,
                now + (FUTURE_WINDOW_DAYS - 1) * _DAY,
            )
            if not earliest <= created <= latest:
                self._count_repair()
                return self._stamp(now)[0], repr(created)
        second = int(created)
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        self._second = (second, text)
        return f"{text}.{min(round((created - second) * 1_000_000), 999_999):06d}+00", None

    def _remember(self, cache: dict[tuple[object, ...], str], key: tuple[object, ...], text: str) -> str:
        if len(cache) >= _CACHE_SIZE:
            cache.clear()
        cache[key] = text
        return text

    def _site(self, record: logging.LogRecord) -> str:
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

    def _thread(self, record: logging.LogRecord) -> str:
        return f"{_integer(record.thread, 63)}\t{self._name_or_null(record.threadName)}"

    def _rest(self, record: logging.LogRecord, original_timestamp: str | None) -> str:
        """The fields from task_name to extra_data, which most records do not have."""
        task = task_of(record)
        tracer = sys.modules.get("opentelemetry.trace")
        with_text = record.exc_info or record.exc_text or record.stack_info
        standard = type(record) is logging.LogRecord  # then the first names are the standard ones, in their order
        bare = standard and len(record.__dict__) == STANDARD_COUNT
        if bare and not (task or tracer or with_text or original_timestamp):
            return _NOTHING
        names = added_names(record)
        extra = extra_of(record, names)
        traced = tracer is not None or len(extra) < len(names)
        if original_timestamp is not None:
            extra["original_timestamp"] = original_timestamp
        trace, span = self._trace(record) if traced else (NULL, NULL)
        kind, exception, stack = self._exception(record) if with_text else (NULL, NULL, NULL)
        data = escape(self._extra.encode(extra)) if extra else NULL
        return f"{self._name_or_null(task)}\t{trace}\t{span}\t{kind}\t{exception}\t{stack}\t{data}"

    def _trace(self, record: logging.LogRecord) -> tuple[str, str]:
        try:
            trace, span = trace_of(record)
        except Exception:  # noqa: BLE001 - a tracer that is half loaded must not cost the rest of the record
            self._count_repair()
            return NULL, NULL
        return self._name_or_null(trace), self._name_or_null(span)

    def _exception(self, record: logging.LogRecord) -> tuple[str, str, str]:
        """The fields exception_type, exception and stack_info."""
        info = record.exc_info
        stack = self._text(shown(record.stack_info)) if record.stack_info else NULL
        if isinstance(info, tuple) and info[0] is not None:
            kind, error, trace = info
            name = class_name(kind)
            try:
                text = logging.Formatter().formatException((kind, error, trace))
            except Exception as broken:  # noqa: BLE001 - an exception that cannot even be shown still has a type
                self._count_repair()
                text = f"{name}: <its traceback could not be formatted: {type(broken).__name__}>"
            return self._name(name), self._text(text), stack
        return NULL, self._text(shown(record.exc_text)) if record.exc_text else NULL, stack

    def _text(self, text: str) -> str:
        """A long text: storable, cut if need be, escaped."""
        if not is_storable(text):
            self._count_repair()
            text = make_storable(text)
        if len(text) > self._short:
            whole, text = text, cut(text, self._max_field_bytes)
            if text is not whole:
                self._count_repair()
        return escape(text)

    def _name(self, value: object, max_bytes: int = _NAME_BYTES) -> str:
        """A short text, which may stand in an index."""
        text = shown(value)
        storable = cut(make_storable(text), max_bytes)
        if storable != text:
            self._count_repair()
        return escape(storable)

    def _name_or_null(self, value: object) -> str:
        return NULL if value is None else self._name(value)

    def _count_repair(self) -> None:
        with self._lock:
            self.repaired += 1

    def _encode_carefully(self, record: logging.LogRecord) -> bytes:
        """Build the line without the caches; what cannot be had says why in its place."""
        message = message_of(record)
        complete = logging.makeLogRecord(record.__dict__)  # gives a default to each attribute that is missing
        created: object = complete.created
        stamp, original = self._stamp(created if isinstance(created, int | float) else float("nan"))
        try:
            rest = self._rest(complete, original)
        except Exception as error:  # noqa: BLE001 - an attribute of a kind that nobody expects must not cost the message
            rest = _NOTHING
            message = f"{shown(message)} [dblog: the rest could not be encoded: {type(error).__name__}]"
        line = f"{stamp}\t{self._site(complete)}\t{self._thread(complete)}\t{rest}\t{self._text(shown(message))}\n"
        return line.encode()


def level_number(value: object) -> int:
    """A level as the column holds it; 0 for what is no level."""
    return int(value) if isinstance(value, int | float) and abs(value) < 2**31 else 0


def _integer(value: object, bits: int) -> str:
    """A number that the column can hold, else NULL."""
    return str(int(value)) if isinstance(value, int | float) and abs(value) < 2**bits else NULL

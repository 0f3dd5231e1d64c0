"""From a `LogRecord` to one line of COPY text, in the thread of the caller.

Most of a record is the same each time a line of code logs, so that part is built once for each call site, and another
once for each thread. What is odd about a record (an attribute of the wrong type, a message that cannot be merged)
leads to the careful way, which keeps whatever can be kept.
"""

import logging
import math
import time
from asyncio import _get_running_loop  # the driver has loaded asyncio already
from collections.abc import Callable, Iterable
from itertools import islice
from types import ModuleType
from typing import Any, Final

from dblog.copytext import NULL
from dblog.defaults import FUTURE_WINDOW_DAYS, PAST_WINDOW_DAYS
from dblog.writing.attributes import FORMATTED, HAS_TASK_NAME, STANDARD_COUNT, message_of, shown, task_of
from dblog.writing.parts import MODULES, NOTHING, TRACER, UNTRACED, LineParts

TIMESTAMP_WIDTH: Final = len("2026-11-21 05:33:55.123456+00")

_THOUSANDTHS: Final = tuple(f"{number:03d}" for number in range(1000))
_CACHE_SIZE: Final = 8192
_ROUNDS_DOWN: Final = 0.9999995
"""Seconds up to which a fraction has six digits behind the point."""
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
        self._parts = LineParts(
            service=service, hostname=hostname, max_field_bytes=max_field_bytes, mask_keys=mask_keys
        )
        self._encode_flat = self._parts.extra.encode_flat
        self._short = self._parts.short
        self._clock = clock
        self._sites: dict[tuple[object, ...], str] = {}
        self._threads: dict[tuple[object, ...], str] = {}
        self.second: tuple[float, str] = (math.nan, "")
        """The second of the record before, since the epoch and as the timestamp has it."""
        self._believed = (0.0, 0.0)

    @property
    def repaired(self) -> int:
        """Values that had to be changed to be storable."""
        return self._parts.repaired

    def encode(self, record: logging.LogRecord) -> bytes:  # noqa: PLR0912 - each call in here would cost each record
        """One line that ends with a newline and lacks only the fields of the batch; never raises an Exception."""
        try:
            created = record.created
            second, stamp = self.second
            offset = created - second
            original = None
            if 0.0 <= offset < _ROUNDS_DOWN:
                milliseconds, microseconds = divmod(int(offset * 1_000_000 + 0.5), 1000)
                stamp = f"{stamp}.{_THOUSANDTHS[milliseconds]}{_THOUSANDTHS[microseconds]}+00"
            else:
                stamp, original = self._stamp(created)
            site_key = (
                record.name,
                record.levelno,
                record.levelname,
                record.pathname,
                record.lineno,
                record.funcName,
                record.process,
            )
            try:
                site = self._sites[site_key]
            except KeyError:
                site = self._remember(self._sites, site_key, self._parts.site(record))
            if HAS_TASK_NAME:  # noqa: SIM108 - two questions in one line are hard to read
                task = record.taskName  # type: ignore[attr-defined,unused-ignore]
            else:
                task = None if _get_running_loop() is None else task_of(record)
            thread_key = (record.thread, record.threadName, task)
            try:
                thread = self._threads[thread_key]
            except KeyError:
                thread = self._remember(self._threads, thread_key, self._parts.thread(record, task))
            message = record.msg
            if record.args or type(message) is not str:
                message = record.getMessage()
            if len(message) > self._short or not message.isprintable() or "\\" in message:
                message = self._parts.text(message)
            if (
                record.exc_info
                or record.exc_text
                or record.stack_info
                or original
                or type(record) is not logging.LogRecord
                or TRACER in MODULES
            ):
                details = self._parts.details(record, original)
            elif len(attributes := record.__dict__) == STANDARD_COUNT:
                details = NOTHING
            else:
                data = self._encode_flat(islice(attributes.items(), STANDARD_COUNT, None), FORMATTED)
                if data is None or len(data) > self._short:
                    details = self._parts.details(record, None)
                else:
                    data = data.replace("\\", "\\\\") or NULL
                    details = f"{UNTRACED}\t{data}"
            return f"{stamp}\t{site}\t{thread}\t{details}\t{message}\n".encode()
        except Exception:  # noqa: BLE001 - whatever is odd about a record, it is not lost
            self._parts.count_repair()
            return self._encode_carefully(record)

    def compiled(self, speedups: ModuleType) -> Any:
        """What encodes ordinary records with what this encoder remembers, compiled."""
        return speedups.LineEncoder(
            self,
            failure=self._parts.failure,
            sites=self._sites,
            threads=self._threads,
            keys=self._parts.extra.known_keys,
            formatted=FORMATTED,
            longest=self._short,
            untraced=UNTRACED,
            nothing=NOTHING,
        )

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
                self._parts.count_repair()
                return self._stamp(now)[0], repr(created)
        second = math.floor(created)
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        self.second = (float(second), text)
        milliseconds, microseconds = divmod(min(int((created - second) * 1_000_000 + 0.5), 999_999), 1000)
        return f"{text}.{_THOUSANDTHS[milliseconds]}{_THOUSANDTHS[microseconds]}+00", None

    def _remember(self, cache: dict[tuple[object, ...], str], key: tuple[object, ...], text: str) -> str:
        if len(cache) >= _CACHE_SIZE:
            cache.clear()
        cache[key] = text
        return text

    def _encode_carefully(self, record: logging.LogRecord) -> bytes:
        """Build the line without the caches; what cannot be had says why in its place."""
        message = message_of(record)
        complete = logging.makeLogRecord(record.__dict__)  # gives a default to each attribute that is missing
        stamp, original = self._stamp(_seconds(complete.created))
        try:
            task, details = task_of(complete), self._parts.details(complete, original)
        except Exception as error:  # noqa: BLE001 - an attribute of a kind that nobody expects must not cost the message
            task, details = None, NOTHING
            message = f"{shown(message)} [dblog: the rest could not be encoded: {type(error).__name__}]"
        thread = self._parts.thread(complete, task)
        return (
            f"{stamp}\t{self._parts.site(complete)}\t{thread}\t{details}\t{self._parts.text(shown(message))}\n".encode()
        )


def _seconds(value: object) -> float:
    """A time since the epoch; NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type] # whatever it is
    except Exception:  # noqa: BLE001 - an odd object must not cost the record
        return math.nan

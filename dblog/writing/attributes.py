"""What a `LogRecord` says, whoever made it and however odd it is: for rows and for lines alike."""

import logging
import sys
from itertools import islice
from typing import Final

_STANDARD = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
STANDARD_COUNT: Final = len(_STANDARD)
_TRACE_KEYS: Final = ("trace_id", "otelTraceID")
_SPAN_KEYS: Final = ("span_id", "otelSpanID")
_TRACED: Final = frozenset({*_TRACE_KEYS, *_SPAN_KEYS})
FORMATTED: Final = frozenset({"message", "asctime"})
"""What a formatter leaves behind."""
OWN_KEYS: Final = frozenset({*_STANDARD, *FORMATTED, "taskName", *_TRACED, "otelServiceName", "otelTraceSampled"})
"""Attributes that are no `extra`."""
HAS_TASK_NAME: Final = "taskName" in _STANDARD  # since Python 3.12


def added_names(record: logging.LogRecord) -> list[str]:
    """The attributes beside the standard ones, which stand first in a record of that very class."""
    if type(record) is logging.LogRecord:
        return list(islice(record.__dict__, STANDARD_COUNT, None))
    return list(record.__dict__)


def extra_of(record: logging.LogRecord, names: list[str]) -> dict[str, object]:
    """What `extra={...}` carried, of the attributes with these names."""
    attributes = record.__dict__
    return {name: attributes[name] for name in names if name not in OWN_KEYS}


def is_traced(names: list[str]) -> bool:
    """True where trace or span may be among the attributes with these names."""
    return not _TRACED.isdisjoint(names)


def task_of(record: logging.LogRecord) -> str | None:
    """The name of the asyncio task that logged."""
    return record.taskName if HAS_TASK_NAME else _running_task()  # type: ignore[attr-defined,no-any-return,unused-ignore]


def trace_of(record: logging.LogRecord) -> tuple[object, object]:
    """Trace and span of the record's own attributes, else of OpenTelemetry's current span; None without any."""
    attributes = record.__dict__
    trace = next((attributes[key] for key in _TRACE_KEYS if attributes.get(key) not in (None, "", "0")), None)
    span = next((attributes[key] for key in _SPAN_KEYS if attributes.get(key) not in (None, "", "0")), None)
    tracer = sys.modules.get("opentelemetry.trace")
    if trace is None and tracer is not None:
        context = tracer.get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return trace, span


def class_name(kind: type[BaseException]) -> str:
    """The qualified name of an exception's class; those of the language without a module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def message_of(record: logging.LogRecord) -> str:
    """The message; where its arguments cannot be merged, what there is of it, with the reason."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - the arguments do not fit, or an object's __str__ raised
        reason = f"{type(error).__name__}: {shown(error)}"
        return f"{shown(getattr(record, 'msg', None))} [dblog: the arguments could not be merged: {reason}]"


def shown(value: object) -> str:
    """`str()` that never fails."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not cost the record
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"


def _running_task() -> str | None:
    """The name of the asyncio task that logs, which records do not carry before Python 3.12."""
    asyncio = sys.modules.get("asyncio")  # where nobody has loaded it, no task can be running
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return task.get_name() if task else None

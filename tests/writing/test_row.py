"""From a record to a line of COPY text: whatever is odd about a record, it becomes a line."""

import asyncio
import copy
import logging
import math
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog import defaults
from dblog.columns import LOG_COLUMNS
from dblog.row import RowEncoder

NAMES = [column.name for column in LOG_COLUMNS][2:]
NOW = 1_795_242_835.25
DAY = 86_400
MISSING = object()


def encoder(**values: Any) -> RowEncoder:
    """An encoder whose clock stands at 2026-11-21 06:33:55.25 UTC."""
    chosen: dict[str, Any] = {
        "service": "shop",
        "hostname": "web-1",
        "max_field_bytes": defaults.MAX_FIELD_BYTES,
        "mask_keys": defaults.MASK_KEYS,
        "clock": lambda: NOW,
    }
    return RowEncoder(**{**chosen, **values})


def record(message: object = "hello", *args: object, level: int = logging.INFO, **attributes: Any) -> logging.LogRecord:
    """A record of the logger `app`, with further attributes."""
    made = logging.LogRecord("app", level, "/srv/app/views.py", 42, message, args, None, "index")
    made.created = NOW
    vars(made).update(attributes)
    return made


def fields(line: bytes) -> dict[str, str | None]:
    """The fields of a line, unescaped."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    texts = line.decode()[:-1].split("\t")
    assert len(texts) == len(NAMES)
    return {name: None if text == "\\N" else unescape(text) for name, text in zip(NAMES, texts, strict=True)}


def unescape(text: str) -> str:
    """What COPY makes of a field."""
    parts = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "x1e": "\x1e"}
    out, rest = "", text
    while rest:
        before, slash, rest = rest.partition("\\")
        out += before
        if slash:
            code = next(code for code in parts if rest.startswith(code))
            out, rest = out + parts[code], rest[len(code) :]
    return out


def encode(made: logging.LogRecord, **values: Any) -> dict[str, str | None]:
    """The fields of a record."""
    return fields(encoder(**values).encode(made))


def test_an_ordinary_record_fills_its_columns() -> None:
    """Everything that a record knows is in its column; what it does not have is NULL."""
    assert encode(record("hello %s", "world")) == {
        "timestamp": "2026-11-21 06:33:55.250000+00",
        "level_no": "20",
        "level": "INFO",
        "logger_name": "app",
        "service": "shop",
        "hostname": "web-1",
        "process_id": str(record().process),
        "module": "views",
        "function_name": "index",
        "filename": "views.py",
        "lineno": "42",
        "pathname": "/srv/app/views.py",
        "thread_id": str(threading.get_ident()),
        "thread_name": "MainThread",
        "message": "hello world",
        **dict.fromkeys(["task_name", "trace_id", "span_id", "exception_type", "exception", "stack_info", "extra_data"]),
    }


class Raising:
    """An object whose texts fail."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__


class Hostile(Raising):
    """An object that fails in comparisons, too."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("message", "args", "text"),
    [
        ("no %s here", (), "no %s here"),
        ("100%", (), "100%"),
        ("%d", ("x",), "%d [dblog: the arguments could not be merged: TypeError: %d format: a real number is required"),
        ("%s %s", (1,), "%s %s [dblog: the arguments could not be merged: TypeError: not enough arguments"),
        ("one", (1, 2), "one [dblog: the arguments could not be merged: TypeError: not all arguments converted"),
        ("%(a)s", ({"a": 1},), "1"),
        ("%(b)s", ({"a": 1},), "%(b)s [dblog: the arguments could not be merged: KeyError: 'b']"),
        ("%s", (Raising(),), "%s [dblog: the arguments could not be merged: RuntimeError: no str]"),
        (Raising(), (), "<Raising: str() raised RuntimeError> [dblog: the arguments could not be merged"),
        (12, (), "12"),
        (None, (), "None"),
        (b"bytes", (), "b'bytes'"),
        ("", (), ""),
        ("a\0b\ud800", (), "a\\x00b\\ud800"),
    ],
    ids=range(14),
)
def test_a_message_is_kept_whatever_is_wrong_with_it(message: object, args: tuple[object, ...], text: str) -> None:
    """Where arguments do not fit or objects fail, the template is stored together with the reason."""
    shown = encode(record(message, *args))["message"]
    assert shown is not None
    assert shown.startswith(text)


@pytest.mark.parametrize(
    ("level", "name"), [(5, "Level 5"), (25, "Level 25"), (100, "Level 100"), (12345, "Level 12345"), (0, "NOTSET")]
)
def test_custom_levels_keep_number_and_name(level: int, name: str) -> None:
    """A level that the standard library does not know is stored like the others."""
    found = encode(record(level=level))
    assert (found["level_no"], found["level"]) == (str(level), name)


@pytest.mark.parametrize(("level", "number"), [(None, "0"), ("INFO", "0"), (2**40, "0"), (30.0, "30"), (math.nan, "0")])
def test_what_is_no_level_becomes_zero(level: Any, number: str) -> None:
    """A record whose level is no number that the column can hold is stored under 0."""
    assert encode(record(levelno=level))["level_no"] == number


def test_records_from_dictionaries_are_complete_enough() -> None:
    """`makeLogRecord({})`, which has neither logger nor level nor file, becomes a row."""
    found = encode(logging.makeLogRecord({"msg": "bare", "created": NOW}))
    assert (found["message"], found["logger_name"], found["level_no"]) == ("bare", "None", "0")


@pytest.mark.parametrize("name", sorted(vars(record())))
@pytest.mark.parametrize("value", [MISSING, None, -1, 2**70, "text\0", Raising(), Hostile(), [1], {"a": 1}, (1, 2)], ids=range(10))
def test_no_odd_attribute_costs_a_record(name: str, value: object) -> None:
    """Whatever an attribute holds, even where it is missing, there is a line with all its fields."""
    made = record("hello", keep="me")
    if value is MISSING:
        del vars(made)[name]
    else:
        setattr(made, name, value)
    found = encode(made)
    if name not in ("msg", "args"):
        assert (found["message"] or "").startswith("hello")


@pytest.mark.parametrize("name", ["trace_id", "span_id", "otelTraceID", "taskName", "message", "asctime", "custom"])
@pytest.mark.parametrize("value", [None, 1, Raising(), Hostile(), "\ud800"], ids=range(5))
def test_no_odd_addition_costs_a_record(name: str, value: object) -> None:
    """Attributes that others add may hold anything, too."""
    made = record("hello")
    setattr(made, name, value)
    assert (encode(made)["message"] or "").startswith("hello")


@given(name=st.text(), thread=st.text(), message=st.text(), function=st.text())
def test_any_text_becomes_a_line(name: str, thread: str, message: str, function: str) -> None:
    """Names and messages may hold any characters; those that can be stored come out as they went in."""
    found = encode(record(message, name=name, threadName=thread, funcName=function))
    stored = [found["logger_name"], found["thread_name"], found["message"], found["function_name"]]
    for text, given_text in zip(stored, [name, thread, message, function], strict=True):
        assert text == given_text.replace("\0", "\\x00")


def test_long_names_are_cut_to_what_an_index_takes() -> None:
    """A logger's name of a megabyte is cut visibly to what a btree can hold."""
    name = encode(record(name="x" * 1_000_000))["logger_name"]
    assert name is not None
    assert len(name) <= 1000
    assert "1000000 bytes in all" in name


def test_a_message_of_ten_megabytes_is_cut_visibly() -> None:
    """A message beyond the limit keeps its beginning, says how long it was, and counts as repaired."""
    rows = encoder()
    message = fields(rows.encode(record("é" * 5_000_000)))["message"]
    assert message is not None
    assert len(message.encode()) <= defaults.MAX_FIELD_BYTES
    assert message.startswith("éééé")
    assert message.endswith("… [cut by dblog: 10000000 bytes in all]")
    assert rows.repaired == 1


@pytest.mark.parametrize(
    "created", [0.5, -0.5, -1e10, NOW - 401 * DAY, NOW + 32 * DAY, 253402300799.0, 1e300, math.nan, math.inf, "x", None]
)
def test_an_impossible_time_is_replaced_and_kept(created: Any) -> None:
    """A timestamp outside the window becomes the time of the call, with the original in extra_data."""
    found = encode(record(created=created))
    assert found["timestamp"] == "2026-11-21 06:33:55.250000+00"
    assert "original_timestamp" in (found["extra_data"] or "")


@pytest.mark.parametrize("days", [-398, -1, 0, 1, 29])
def test_a_possible_time_is_believed(days: int) -> None:
    """Within the window a record keeps its own time, and nothing is added to it."""
    found = encode(record(created=NOW + days * DAY))
    assert (found["timestamp"] or "").endswith("06:33:55.250000+00")
    assert found["extra_data"] is None


@given(fraction=st.floats(0, 1, exclude_max=True))
def test_timestamps_have_their_width(fraction: float) -> None:
    """The timestamp has microseconds and never rounds into a second that does not exist."""
    created = math.floor(NOW) + fraction
    stamp = encode(record(created=created))["timestamp"]
    assert stamp is not None
    assert stamp.startswith("2026-11-21 06:33:5")
    assert len(stamp) == len("2026-11-21 06:33:55.250000+00")


def raised(work: Callable[[], object]) -> Any:
    """The `exc_info` of what `work` raises."""
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever it is
        return sys.exc_info()
    raise AssertionError("nothing was raised")


def fail() -> None:
    """Fail with a cause."""
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


class Mute(Exception):  # noqa: N818 - it says nothing
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


def fail_in_a_group() -> None:
    """Fail twice at once."""
    raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])


def fail_mutely() -> None:
    """Fail without a text."""
    raise Mute


@pytest.mark.parametrize(
    ("work", "kind", "texts"),
    [
        (fail, "ValueError", ["KeyError: 'inner'", "direct cause", "ValueError: outer"]),
        (fail_in_a_group, "ExceptionGroup", ["both (2 sub-exceptions)", "ValueError: one", "TypeError: two"]),
        (lambda: compile("a b", "conf.py", "exec"), "SyntaxError", ["conf.py", "a b", "invalid syntax"]),
        (lambda: "\ud800".encode(), "UnicodeEncodeError", ["surrogates not allowed"]),
        (fail_mutely, f"{__name__}.Mute", ["Mute"]),
        (lambda: sys.exit(3), "SystemExit", ["SystemExit: 3"]),
    ],
    ids=["chain", "group", "syntax", "unicode", "mute", "exit"],
)
def test_exceptions_keep_type_and_traceback(work: Callable[[], object], kind: str, texts: list[str]) -> None:
    """The type of an exception has its column, the whole traceback, with causes and groups, another."""
    found = encode(record(exc_info=raised(work)))
    assert found["exception_type"] == kind
    assert all(text in (found["exception"] or "") for text in texts)


def test_no_exception_is_null() -> None:
    """`exc_info=True` where nothing was raised leaves the columns empty; a text that another handler made is used."""
    assert encode(record(exc_info=(None, None, None)))["exception"] is None
    assert encode(record(exc_text="Traceback: made elsewhere"))["exception"] == "Traceback: made elsewhere"


def test_the_stack_is_kept() -> None:
    """What `stack_info=True` gave has its own column."""
    assert encode(record(stack_info="Stack (most recent call last):\n  here"))["stack_info"] is not None


def test_a_record_is_not_changed() -> None:
    """Handlers that come after find the record as it was, without cached texts or new attributes."""
    made = record("hello %s", "you", exc_info=raised(fail), user={"password": "p"})
    before = copy.copy(vars(made))
    encoder().encode(made)
    assert vars(made) == before


def test_the_attributes_of_formatters_are_no_extra() -> None:
    """What a formatter leaves on the record is not stored a second time."""
    made = record("hello %s", "you")
    logging.Formatter("%(asctime)s %(message)s").format(made)
    assert encode(made)["extra_data"] is None


def test_the_task_is_named() -> None:
    """Within asyncio a row has the name of the task; outside of it, it has none."""

    async def log() -> dict[str, str | None]:
        return await asyncio.create_task(inner(), name="checkout")

    async def inner() -> dict[str, str | None]:
        return encode(record())

    assert asyncio.run(log())["task_name"] == "checkout"
    assert encode(record())["task_name"] is None


@pytest.mark.parametrize(("trace", "span"), [("trace_id", "span_id"), ("otelTraceID", "otelSpanID")])
def test_trace_and_span_come_from_the_record(trace: str, span: str) -> None:
    """Attributes of the record name trace and span, and do not stand in extra_data as well."""
    found = encode(record(**{trace: "t" * 32, span: "s" * 16, "other": 1}))
    assert (found["trace_id"], found["span_id"], found["extra_data"]) == ("t" * 32, "s" * 16, '{"other":1}')


def test_trace_and_span_come_from_opentelemetry() -> None:
    """Without such attributes OpenTelemetry's current span is asked; where there is none they are NULL."""
    from opentelemetry import trace

    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        found = encode(record())
    assert (found["trace_id"], found["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert encode(record())["trace_id"] is None


def test_a_broken_opentelemetry_costs_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tracing library fails, the record is stored with a note."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: 1 / 0))  # type: ignore[arg-type]
    found = encode(record("hello"))
    assert found["message"] == "hello [dblog: the rest could not be encoded: ZeroDivisionError]"


def test_call_sites_and_threads_are_told_apart() -> None:
    """One encoder serves many loggers, lines and threads, more than it can remember, without mixing them up."""
    rows = encoder()
    for number in range(20_000):
        made = record(name=f"app.{number}", lineno=number, thread=number, threadName=f"t{number}")
        found = fields(rows.encode(made))
        assert (found["logger_name"], found["lineno"]) == (f"app.{number}", str(number))
        assert (found["thread_id"], found["thread_name"]) == (str(number), f"t{number}")
    assert rows.repaired == 0

"""From a record to a line of COPY text: whatever is odd about a record, it becomes a line."""

import logging
import math
import threading
from typing import Any

import pytest
from encoded import DAY, MISSING, NAMES, NOW, encode, encoder, fields, record
from failures import caught, expected, fall
from hypothesis import given
from hypothesis import strategies as st

from dblog import defaults
from dblog.copytext import cut, escape


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
        **dict.fromkeys(
            ["task_name", "trace_id", "span_id", "exception_type", "exception", "stack_info", "extra_data"]
        ),
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
@pytest.mark.parametrize(
    "value", [MISSING, None, -1, 2**70, "text\0", Raising(), Hostile(), [1], {"a": 1}, (1, 2)], ids=range(10)
)
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


@pytest.mark.parametrize("known", [False, True], ids=["first", "again"])
def test_an_exception_of_ten_megabytes_is_cut_visibly(known: bool) -> None:
    """An exception beyond the limit keeps its beginning and says how long it was, escapes not counted."""
    rows, info = encoder(), caught(lambda: fall(2, ValueError("é\n\\" * 2_500_000)))
    if known:
        rows.encode(record(exc_info=caught(lambda: fall(2, ValueError("known")))))
    line = rows.encode(record(exc_info=info))
    assert line.split(b"\t")[NAMES.index("exception")].decode() == escape(cut(expected(info), defaults.MAX_FIELD_BYTES))
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

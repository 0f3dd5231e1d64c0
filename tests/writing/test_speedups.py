"""The compiled common case: what it takes becomes the very line that Python makes, and the rest is left to Python."""

import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from encoded import DAY, NOW, encoder, record
from failures import LoudError, MuteError, caught, fall
from hypothesis import given
from hypothesis import strategies as st

from dblog import DatabaseLogHandler
from dblog.writing import speedups
from dblog.writing.row import RowEncoder

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]

NOWHERE = "host=127.0.0.1 port=1"


class Loud(str):
    """A text that shows itself as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "loud"


class Broken:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class OwnRecord(logging.LogRecord):
    """A record with a message of its own making."""

    def getMessage(self) -> str:
        """Another message."""
        return f"own {self.msg}"


CYCLE: list[object] = []
CYCLE.append(CYCLE)

TEXTS = st.text(max_size=20) | st.sampled_from(["a\\b", 'say "x"', "tab\t", "nul\0", "\ud800", "\x1e", "\x7f", "é€😀"])
NUMBERS = st.integers(-10, 10) | st.integers(-(2**63) - 2, 2**63 + 2) | st.sampled_from([2**63, -(2**63), 1 << 20_000])
FLOATS = st.floats() | st.sampled_from([1e22, 1e16, 0.1, 5e-324, -0.0])
ODD = st.builds(Broken) | st.sampled_from([CYCLE, {"a": 1}, (1, 2), Loud("x"), print, b"bytes", True, math.nan])
VALUES = TEXTS | NUMBERS | FLOATS | st.none() | st.booleans() | ODD
KEYS = st.sampled_from(
    ["order_id", "path", "password", "message", "asctime", "trace_id", "taskName", "getMessage", 'q"']
)
CREATED = st.floats(NOW - 1, NOW + 1) | st.sampled_from(
    [NOW, NOW + 0.9999998, NOW - 500 * DAY, math.nan, 0, int(NOW), "x"]
)
STANDARD = st.sampled_from(sorted(vars(record())))
FAILURES = (
    st.sampled_from(["Traceback: x\ny", "\ud800", "nul\0", "x" * 5000, (), (None, None, None), True])
    | TEXTS.map(lambda text: caught(partial(fall, 2, ValueError(text))))
    | st.sampled_from([caught(partial(fall, depth, error())) for depth in (0, 9) for error in (MuteError, LoudError)])
)


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    """The compiled module; without it these tests are skipped, and Python does it all."""
    module: ModuleType = pytest.importorskip(
        "dblog_speedups", reason="dblog-speedups is missing: pip install ./speedups"
    )
    return module


def assert_same(rows: RowEncoder, compiled: ModuleType, made: logging.LogRecord) -> bytes | None:
    """The line of the compiled encoder, after a check that Python makes the same one, with as many repairs."""
    before = rows.repaired
    expected = rows.encode(made)
    between = rows.repaired
    line: bytes | None = rows.compiled(compiled).encode(made)
    assert line in (None, expected)
    assert line is None or rows.repaired - between == between - before
    return line


@given(
    message=TEXTS | VALUES,
    args=st.lists(VALUES, max_size=3).map(tuple) | st.dictionaries(TEXTS, VALUES, max_size=2),
    template=st.sampled_from([None, "%s", "%d and %s", "%(a)s", "%5.2f", "%%", "%s" * 3]),
    created=CREATED,
    extra=st.dictionaries(KEYS | TEXTS, VALUES, max_size=4),
    odd=st.dictionaries(STANDARD, VALUES, max_size=2) | st.just({}),
    failure=st.dictionaries(st.sampled_from(["exc_info", "exc_text", "stack_info"]), FAILURES, max_size=2),
    missing=st.none() | STANDARD,
    kind=st.sampled_from([logging.LogRecord, logging.LogRecord, OwnRecord]),
)
def test_both_encoders_make_the_same_lines(
    compiled: ModuleType,
    message: Any,
    args: Any,
    template: Any,
    created: Any,
    extra: Any,
    odd: Any,
    failure: Any,
    missing: Any,
    kind: Any,
) -> None:
    """Whatever a record holds, the compiled encoder makes the line that Python makes, byte for byte, or none at all."""
    made = kind("app", 20, "/srv/app/views.py", 42, template or message, (), None, "index")
    vars(made).update({"created": created, "args": args if template else (), **odd, **failure})
    for key, value in extra.items():
        vars(made).setdefault(key, value)
    if missing is not None and missing not in odd:
        del vars(made)[missing]
    rows = encoder()
    rows.encode(record())
    assert_same(rows, compiled, made)


@pytest.mark.parametrize(
    "made",
    [
        record("plain"),
        record("order %d of %s", 7, "é€😀", order_id=-7, path="/checkout", price=0.1, big=2**62, none=None, true=True),
        record("50%", level=logging.DEBUG),
        record("%s %s", None, 1.5, level=25),
        record("after a console", asctime="2026", user="é"),
        record("last", created=NOW + 0.74999, number=-(2**63) + 1),
        record("failed", exc_info=caught(partial(fall, 20, ValueError("é\ttab"))), order_id=7),
        record("with a stack", exc_text="was formatted already", stack_info="Stack (most recent call last):\n  x"),
    ],
    ids=range(8),
)
def test_ordinary_records_are_taken(compiled: ModuleType, made: logging.LogRecord) -> None:
    """A record of built-in values from a known line of code needs no Python, but for the text of its exception."""
    assert assert_same(encoder(), compiled, made) is not None


@pytest.mark.parametrize(
    "made",
    [
        record("%s", Broken()),
        record("%d", "x"),
        record("tab\t"),
        record("x" * 5000),
        record(exc_info=(ValueError, ValueError("x"), None, "one too many")),
        record(extra=[1]),
        record(password="hunter2"),
        record(text="x" * 5000),
        record("%s", 1, getMessage="shadowed"),
    ],
    ids=range(9),
)
def test_all_others_are_left_to_python(compiled: ModuleType, made: logging.LogRecord) -> None:
    """What may run code of the application, or needs a change to be storable, is not touched."""
    assert assert_same(encoder(), compiled, made) is None


def test_attributes_in_a_dictionary_of_another_class_are_left_to_python(compiled: ModuleType) -> None:
    """What keeps its attributes in something else than a plain dictionary is not touched, either."""
    made = record("plain")
    made.__dict__ = OrderedDict(vars(made))
    assert assert_same(encoder(), compiled, made) is None


def test_a_message_of_the_applications_own_making_is_used(
    compiled: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the application has replaced `getMessage` for all records, its messages are stored."""
    monkeypatch.setattr(logging.LogRecord, "getMessage", lambda made: made.msg.format(*made.args))
    rows = encoder()
    assert assert_same(rows, compiled, record("{} of {}", 1, 2)) is None
    assert rows.encode(record("{} of {}", 1, 2)).endswith(b"\t1 of 2\n")


def test_a_handler_counts_what_it_takes(
    compiled: ModuleType, make_handler: MakeHandler, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled or not, a handler puts the same lines into its queue and counts the same records."""
    found = []
    times = [time.time()] * 1000
    for switch in ("1", "0"):
        monkeypatch.setenv(speedups.SWITCH, switch)
        handler = make_handler(NOWHERE, batch_size=100_000, flush_interval=600)
        logger = attach(handler)
        assert handler.stats().compiled == (switch == "1")
        logger.info("the first one wakes the worker")
        for number, now in enumerate(times):
            made = logger.makeRecord(
                "app", 20 + number % 3, "app.py", 1, "%d", (number,), None, extra={"number": number}
            )
            made.created = now
            handler.handle(made)
        stats = handler.stats()
        found.append((stats.emitted, stats.waiting, list(handler._writer._queue._lines)[-900:]))
        assert sum(stats.emitted.values()) == 1001
    assert found[0] == found[1]


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which a compiled module is found that has nothing but its number."""
    monkeypatch.delenv(speedups.SWITCH, raising=False)
    monkeypatch.setitem(sys.modules, "dblog_speedups", SimpleNamespace(INTERFACE=speedups.INTERFACE))
    return monkeypatch


def test_the_compiled_module_is_found(unloaded: pytest.MonkeyPatch) -> None:
    """Where it is installed and speaks the right version, it is used without being asked for."""
    assert speedups.load() is sys.modules["dblog_speedups"]


def test_without_the_compiled_module_python_does_it(unloaded: pytest.MonkeyPatch, make_handler: MakeHandler) -> None:
    """Not installed, of another version, switched off, or in a free-threaded interpreter: Python does it all."""
    with unloaded.context() as patch:
        patch.setitem(sys.modules, "dblog_speedups", None)
        assert speedups.load() is None
        assert not make_handler(NOWHERE).stats().compiled
    with unloaded.context() as patch:
        patch.setattr("dblog_speedups.INTERFACE", speedups.INTERFACE + 1)
        assert speedups.load() is None
    with unloaded.context() as patch:
        patch.setenv(speedups.SWITCH, "0")
        assert speedups.load() is None
    with unloaded.context() as patch:
        patch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        assert speedups.load() is None


def test_a_record_that_lacks_attributes_is_taken(make_handler: MakeHandler) -> None:
    """A record without level, process or thread is stored and counted like any other."""
    handler = make_handler(NOWHERE)
    made = record("by hand")
    for name in ("levelno", "process", "threadName"):
        del vars(made)[name]
    handler.handle(made)
    assert handler.stats().emitted == {0: 1}

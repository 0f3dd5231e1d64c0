"""The fields that most records do not have: exceptions, stacks, tasks, traces; and records that are left alone."""

import asyncio
import copy
import logging
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from encoded import encode, encoder, fields, record


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


def fail_to_compile() -> None:
    """Fail in code that is no code."""
    compile("a b", "conf.py", "exec")


def fail_mutely() -> None:
    """Fail without a text."""
    raise Mute


@pytest.mark.parametrize(
    ("work", "kind", "texts"),
    [
        (fail, "ValueError", ["KeyError: 'inner'", "direct cause", "ValueError: outer"]),
        (fail_in_a_group, "ExceptionGroup", ["both (2 sub-exceptions)", "ValueError: one", "TypeError: two"]),
        (fail_to_compile, "SyntaxError", ["conf.py", "a b", "invalid syntax"]),
        ("\ud800".encode, "UnicodeEncodeError", ["surrogates not allowed"]),
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
    found = encode(logging.makeLogRecord({trace: "t" * 32, span: "s" * 16, "other": 1}))
    assert (found["trace_id"], found["span_id"], found["extra_data"]) == ("t" * 32, "s" * 16, '{"other":1}')


@pytest.fixture
def opentelemetry() -> Iterator[None]:
    """OpenTelemetry may be imported; afterwards nobody has it: with it each record is looked at more closely."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        del sys.modules[name]


@pytest.mark.usefixtures("opentelemetry")
def test_trace_and_span_come_from_opentelemetry() -> None:
    """Without such attributes OpenTelemetry's current span is asked; where there is none they are NULL."""
    from opentelemetry import trace

    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        found = encode(record())
    assert (found["trace_id"], found["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert encode(record())["trace_id"] is None


def test_a_broken_opentelemetry_costs_only_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tracing library fails, message and extra are stored without a trace."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: 1 / 0))
    found = encode(record("hello", user=42))
    assert (found["message"], found["trace_id"]) == ("hello", None)
    assert found["extra_data"] == '{"user":42}'


def test_call_sites_and_threads_are_told_apart() -> None:
    """One encoder serves many loggers, lines and threads, more than it can remember, without mixing them up."""
    rows = encoder()
    for number in range(20_000):
        made = record(name=f"app.{number}", lineno=number, thread=number, threadName=f"t{number}")
        found = fields(rows.encode(made))
        assert (found["logger_name"], found["lineno"]) == (f"app.{number}", str(number))
        assert (found["thread_id"], found["thread_name"]) == (str(number), f"t{number}")
    assert rows.repaired == 0

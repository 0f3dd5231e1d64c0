"""Tracebacks that are made from remembered frames read as those of the standard library, in Python and compiled."""

import logging
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from failures import (
    BrokenError,
    EmptyError,
    HomelessError,
    LoudError,
    MuteError,
    caught,
    expected,
    fall,
    told,
)
from hypothesis import given
from hypothesis import strategies as st

from dblog.copytext import escape
from dblog.writing.speedups import SWITCH, load
from dblog.writing.tracebacks import Tracebacks


@pytest.fixture(scope="module", params=["Python", "compiled"])
def make_tracebacks(request: pytest.FixtureRequest) -> Iterator[Callable[..., Tracebacks]]:
    """Makes tracebacks that remember nothing yet, whose frames are looked at in Python or compiled."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.setenv(SWITCH, "0")
        elif load() is None:
            pytest.skip("dblog-speedups is missing: pip install ./speedups")
        yield Tracebacks


class Outer:
    """Has a class within."""

    class InnerError(ValueError):
        """A class within a class, of a module that is named."""


def with_cause() -> None:
    """Fail because of another exception."""
    try:
        fall(2, KeyError("price"))
    except KeyError as error:
        raise Outer.InnerError("no price, no order") from error


def in_handling() -> None:
    """Fail while a failure is handled."""
    try:
        with_cause()
    except ValueError:
        fall(1, RuntimeError())


def empty() -> None:
    """Fail with an error that is false, because of another one."""
    try:
        fall(1, KeyError("price"))
    except KeyError as error:
        raise EmptyError("no price") from error


def hiding() -> None:
    """Fail without a word of what came before."""
    try:
        fall(1, KeyError("price"))
    except KeyError:
        raise ValueError("no price") from None


def in_a_circle() -> None:
    """Fail because of a failure that came of this one."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def with_notes() -> None:
    """Fail with something added to the error."""
    error = ValueError("no price")
    error.add_note("of article 42")
    raise error


def mistyped() -> None:
    """Ask for a name that is nearly there."""
    price = 1
    prise  # type: ignore[name-defined] # noqa: B018, F821 - the language suggests another name
    assert price


def over_lines() -> None:
    """Fail in an expression of several lines."""
    values: dict[str, int] = {}
    fall(0, ValueError("x")) if values else int(
        "four"  # the part of the line that failed is underlined
        + "teen",
    )


def in_generated_code() -> None:
    """Fail where there is no source to be read."""
    exec(compile("def buy():\n    return 1 / 0\nbuy()", "<made up>", "exec"), {})  # noqa: S102 - the code is ours


WORKS: dict[str, Callable[[], object]] = {
    "plain": lambda: fall(4, ValueError("the card was refused")),
    "without a word": lambda: fall(0, ValueError()),
    "of several lines": lambda: fall(0, ValueError("one\ntwo\n")),
    "no Exception": lambda: fall(0, KeyboardInterrupt()),
    "cause": with_cause,
    "context": in_handling,
    "hidden context": hiding,
    "circle": in_a_circle,
    "notes": with_notes,
    "group": lambda: fall(1, ExceptionGroup("both", [ValueError("a"), KeyError("b")])),
    "suggestion": mistyped,
    "syntax": lambda: compile("a b", "<made up>", "exec"),
    "recursion, three times": lambda: fall(3, ValueError()),
    "recursion": lambda: fall(50, ValueError()),
    "over lines": over_lines,
    "generated": in_generated_code,
    "no str": lambda: fall(0, MuteError()),
    "false": empty,
    "loud": lambda: fall(0, LoudError()),
    "no module": lambda: fall(0, HomelessError("lost")),
    "no notes": lambda: fall(0, BrokenError()),
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_the_text_is_that_of_the_standard_library(
    make_tracebacks: Callable[..., Tracebacks], work: Callable[[], object]
) -> None:
    """An exception reads the same when it is seen first, when its frames are known, and in Python's own words."""
    info, tracebacks = caught(work), make_tracebacks(str)
    assert [told(lambda info: tracebacks.format(*info), info) for _ in range(2)] == [told(expected, info)] * 2


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_what_is_copied_is_escaped_once(make_tracebacks: Callable[..., Tracebacks], work: Callable[[], object]) -> None:
    """Lines that are remembered as COPY reads them make the text that would be escaped as a whole."""
    info, tracebacks = caught(work), make_tracebacks(escape)
    said = told(expected, info)
    copied = escape(said) if isinstance(said, str) else said
    assert [told(lambda info: tracebacks.format(*info), info) for _ in range(2)] == [copied] * 2


def test_frames_are_counted_where_the_standard_library_has_them(make_tracebacks: Callable[..., Tracebacks]) -> None:
    """Frames of one instruction are alike, whatever line a traceback that was made by hand says of them."""
    kind, error, trace = caught(WORKS["without a word"])
    tracebacks = make_tracebacks(str)
    for line in range(1, 6):
        assert trace is not None
        trace = TracebackType(trace, trace.tb_frame, trace.tb_lasti, line)
        assert tracebacks.format(kind, error, trace) == expected((kind, error, trace))


def test_exceptions_without_a_traceback_and_none_at_all_are_shown() -> None:
    """What was never raised has no traceback; `exc_info=True` outside an `except` has not even an exception."""
    error, tracebacks = ValueError("never raised"), Tracebacks(str)
    assert tracebacks.format(ValueError, error, None) == expected((ValueError, error, None))
    nothing = logging.Formatter().formatException((None, None, None))
    assert tracebacks.format(None, None, None) == nothing  # type: ignore[arg-type]


def test_the_limit_of_tracebacks_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `sys.tracebacklimit` asks for fewer frames, fewer are shown."""
    info, tracebacks = caught(WORKS["plain"]), Tracebacks(str)
    whole = tracebacks.format(*info)
    monkeypatch.setattr(sys, "tracebacklimit", 2, raising=False)
    assert tracebacks.format(*info) == expected(info) != whole


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 7]), min_size=1, max_size=5), st.text(max_size=20))
def test_any_chain_of_any_depth_reads_the_same(
    make_tracebacks: Callable[..., Tracebacks], depths: list[int], message: str
) -> None:
    """However deep the frames of however many causes are, the text is Python's."""

    def chained() -> None:
        cause: BaseException | None = None
        for depth in depths:
            _, cause, _ = caught(lambda depth=depth, cause=cause: _raise_from(depth, ValueError(message), cause))  # type: ignore[misc]
        assert cause is not None
        raise cause

    info = caught(chained)
    assert make_tracebacks(str).format(*info) == expected(info)
    assert make_tracebacks(escape).format(*info) == escape(expected(info))


def _raise_from(depth: int, error: BaseException, cause: BaseException | None) -> None:
    error.__cause__ = cause
    fall(depth, error)

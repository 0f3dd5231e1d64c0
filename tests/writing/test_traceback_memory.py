"""What is remembered of frames: it is used, it stays small, and it keeps nothing alive."""

import gc
import linecache
import traceback
import weakref
from functools import partial

import pytest
from failures import caught, expected, fall

from dblog.writing import tracebacks
from dblog.writing.tracebacks import Tracebacks


@pytest.fixture
def remembering() -> Tracebacks:
    """Remembers nothing yet."""
    return Tracebacks(str)


def test_frames_that_are_known_are_not_made_again(remembering: Tracebacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time the standard library is not even asked."""
    info = caught(lambda: fall(3, ValueError("the card was refused")))
    text = remembering.format(*info)
    with monkeypatch.context() as patch:
        patch.delattr(traceback, "extract_tb")
        patch.delattr(traceback, "format_exception")
        again = remembering.format(*info)
    assert again == text


def test_code_is_not_kept(remembering: Tracebacks) -> None:
    """Code that nobody has any more is not kept, and other code that gets its place is not taken for it."""
    for number in range(20):
        code = compile(f"def buy_{number}():\n    return 1 / 0\nbuy_{number}()", "<made up>", "exec")
        gone = weakref.ref(code)
        info = caught(partial(exec, code, {}))
        assert remembering.format(*info) == expected(info)
        del code, info
        gc.collect()
        assert gone() is None


def test_endless_lines_are_not_remembered(remembering: Tracebacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is a whole program, as generators write them, takes no memory."""
    source = f"price = 1 / 0{' ' * 9000}; {'x' * 9000}"
    monkeypatch.setitem(linecache.cache, "<endless>", (len(source), None, [source], "<endless>"))
    info = caught(partial(exec, compile(source, "<endless>", "exec"), {}))
    assert remembering.format(*info) == expected(info)
    assert 0 < sum(len(text) for _, _, text in remembering._frames.values()) < 9000


def test_memory_is_bounded(remembering: Tracebacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is made anew for each call, as templates and notebooks do, does not fill the memory with its frames."""
    monkeypatch.setattr(tracebacks, "_CACHE_SIZE", 10)
    for _ in range(30):
        info = caught(partial(exec, "def buy():\n    return 1 / 0\nbuy()", {}))
        assert remembering.format(*info) == expected(info)
        assert len(remembering._frames) <= 10

"""The text of an exception as `traceback.format_exception` writes it, at a fraction of its cost.

The standard library reads the source anew and parses each line for every frame of every exception. A frame that stands
at the same instruction of the same code has the same lines again, so they are made once and remembered. What is rare
about an exception (a group, notes, suggestions, endless recursion) is left to the standard library as a whole.
"""

import sys
import traceback
import weakref
from types import CodeType, TracebackType
from typing import Final

_HEAD: Final = "Traceback (most recent call last):\n"
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"
_SPECIAL: Final = (BaseExceptionGroup, SyntaxError, NameError, AttributeError, ImportError)
"""They have lines of their own, or a suggestion."""
_NAMELESS: Final = ("__main__", "builtins")
"""Modules that are not named before their classes."""
_MOST_REPEATED: Final = 3
"""Frames on one line in a row of which each is shown."""
_CACHE_SIZE: Final = 4096
_LONGEST: Final = 4096
"""Characters of a frame's lines that are remembered: generated code may be one endless line."""

_Place = tuple[str, int | None, str]
_Frame = tuple[weakref.ref[CodeType], _Place, str]
# By the id of the code, which other code may get once it is gone: the reference tells.
_frames: dict[tuple[int, int, int], _Frame] = {}


def format_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    """The traceback, with causes, without a newline at its end.

    The source of a line is what it was when an exception passed there first.

    Raises:
        Exception: Whatever the standard library raises for an exception that it cannot show.
    """
    text = None
    if type(error) is kind and not hasattr(sys, "tracebacklimit"):
        try:
            text = _chain(error, trace)
        except Exception:  # noqa: BLE001 - an odd one; the standard library may have words for what it raises
            text = None
    return (text or "".join(traceback.format_exception(kind, error, trace))).removesuffix("\n")


def _chain(error: BaseException, trace: TracebackType | None) -> str | None:
    """An exception with those that led to it, the first one first; None where one of them is special."""
    parts: list[str] = []
    seen: set[int] = set()
    while True:
        if trace is None or id(error) in seen or _is_special(error):
            return None
        seen.add(id(error))
        stack, last = _stack(trace), _last_line(error)
        if stack is None or last is None:
            return None
        parts.append(f"{_HEAD}{stack}{last}")
        if error.__cause__ is not None:
            parts.append(_CAUSE)
            error = error.__cause__
        elif error.__context__ is not None and not error.__suppress_context__:
            parts.append(_CONTEXT)
            error = error.__context__
        else:
            return "".join(reversed(parts))
        trace = error.__traceback__


def _is_special(error: BaseException) -> bool:
    """True where the standard library says more than frames and words, or, of one that is false, no cause."""
    return not bool(error) or isinstance(error, _SPECIAL) or hasattr(error, "__notes__")


def _stack(trace: TracebackType | None) -> str | None:
    """The lines of all frames; None where so many in a row are alike that they would be shown as one."""
    texts: list[str] = []
    place: _Place | None = None
    repeated = 0
    while trace is not None:
        code = trace.tb_frame.f_code
        key = id(code), trace.tb_lasti, trace.tb_lineno
        known = _frames.get(key)
        if known is None or known[0]() is not code:
            known = _remember(key, trace, code)
        before, (_, place, text) = place, known
        repeated = repeated + 1 if place == before else 1
        if repeated > _MOST_REPEATED:
            return None
        texts.append(text)
        trace = trace.tb_next
    return "".join(texts)


def _remember(key: tuple[int, int, int], trace: TracebackType, code: CodeType) -> _Frame:
    summaries = traceback.extract_tb(trace, limit=1)
    ((name, line, function, _),), (text,) = summaries, summaries.format()
    frame = weakref.ref(code), (name, line, function), text
    if len(text) <= _LONGEST:
        if len(_frames) >= _CACHE_SIZE:
            _frames.clear()
        _frames[key] = frame
    return frame


def _last_line(error: BaseException) -> str | None:
    """The class and what the exception says; None where those are no ordinary texts."""
    kind, said = type(error), str(error)
    module = kind.__module__
    if type(module) is not str or type(said) is not str:  # which would have a say in how they are shown
        return None
    name = kind.__qualname__ if module in _NAMELESS else f"{module}.{kind.__qualname__}"
    return f"{name}: {said}\n" if said else f"{name}\n"

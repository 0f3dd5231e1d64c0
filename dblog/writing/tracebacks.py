"""The text of an exception as `traceback.format_exception` writes it, at a fraction of its cost.

The standard library reads the source anew and parses each line for every frame of every exception. A frame that stands
at the same instruction of the same code has the same lines again, so they are made once and remembered. What is rare
about an exception (a group, notes, suggestions, endless recursion) is left to the standard library as a whole.
"""

import sys
import traceback
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

# The code itself is kept, too, so that no other code gets its id.
_frames: dict[tuple[int, int, int], tuple[CodeType, str]] = {}


def format_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    """The traceback, with causes, without a newline at its end.

    The source of a line is what it was when an exception passed there first.

    Raises:
        Exception: Whatever the standard library raises for an exception that it cannot show.
    """
    text = None
    if type(error) is kind and not hasattr(sys, "tracebacklimit"):
        text = _chain(error, trace)
    return (text or "".join(traceback.format_exception(kind, error, trace))).removesuffix("\n")


def _chain(error: BaseException, trace: TracebackType | None) -> str | None:
    """An exception with those that led to it, the first one first; None where one of them is special."""
    parts: list[str] = []
    seen: set[int] = set()
    while True:
        if trace is None or id(error) in seen or isinstance(error, _SPECIAL) or hasattr(error, "__notes__"):
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


def _stack(trace: TracebackType | None) -> str | None:
    """The lines of all frames; None where so many in a row are alike that they would be shown as one."""
    texts: list[str] = []
    place: tuple[str, int, str] | None = None
    repeated = 0
    while trace is not None:
        code, line = trace.tb_frame.f_code, trace.tb_lineno
        before, place = place, (code.co_filename, line, code.co_name)
        repeated = repeated + 1 if place == before else 1
        if repeated > _MOST_REPEATED:
            return None
        known = _frames.get((id(code), trace.tb_lasti, line))
        texts.append(known[1] if known is not None else _remember(trace, code, line))
        trace = trace.tb_next
    return "".join(texts)


def _remember(trace: TracebackType, code: CodeType, line: int) -> str:
    (text,) = traceback.extract_tb(trace, limit=1).format()
    if len(_frames) >= _CACHE_SIZE:
        _frames.clear()
    _frames[id(code), trace.tb_lasti, line] = code, text
    return text


def _last_line(error: BaseException) -> str | None:
    """The class and what the exception says; None where it does not tell."""
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__ if module in _NAMELESS else f"{module}.{kind.__qualname__}"
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - the standard library has words for that
        return None
    return f"{name}: {said}\n" if said else f"{name}\n"

"""The text of an exception as `traceback.format_exception` writes it, at a fraction of its cost.

The standard library reads the source anew and parses each line for every frame of every exception. A frame that stands
at the same instruction of the same code has the same lines again, so they are made once and remembered. What is rare
about an exception (a group, notes, suggestions, endless recursion) is left to the standard library as a whole.
"""

import sys
import traceback
import weakref
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Final

from dblog.writing.speedups import load

_HEAD: Final = "Traceback (most recent call last):\n"
_CAUSE: Final = "\n\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
_SPECIAL: Final = (BaseExceptionGroup, SyntaxError, NameError, AttributeError, ImportError)
"""They have lines of their own, or a suggestion."""
_NAMELESS: Final = ("__main__", "builtins")
"""Modules that are not named before their classes."""
_MOST_REPEATED: Final = 3
"""Frames on one line in a row of which each is shown."""
_CACHE_SIZE: Final = 4096
_LONGEST: Final = 4096
"""Characters of a frame's lines that are remembered: generated code may be one endless line."""
_SYS: Final = vars(sys)

Key = tuple[int, int, int]
"""The id of a frame's code, which other code may get once it is gone, its instruction, and its line."""
Place = tuple[str, int | None, str]
"""File, line and function."""
Frame = tuple[weakref.ref[CodeType], Place, str]
"""The code, which tells whether it is still the same, where the frame stands, and its lines."""


class Tracebacks:
    """Makes the texts of exceptions in one form, and remembers the lines of their frames in that form.

    The source of a line is what it was when an exception passed there first.

    Args:
        shape: Brings a text into that form; the form of two texts in a row is the forms of both in a row.
    """

    def __init__(self, shape: Callable[[str], str]) -> None:
        self._shape = shape
        self._head, self._cause, self._context = shape(_HEAD), shape(_CAUSE), shape(_CONTEXT)
        self._frames: dict[Key, Frame] = {}
        self._stack = stack if (speedups := load()) is None else speedups.stack

    def format(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
        """The traceback, with causes, without a newline at its end.

        Raises:
            Exception: Whatever the standard library raises for an exception that it cannot show.
        """
        text = None
        if type(error) is kind and "tracebacklimit" not in _SYS:
            try:
                text = self._chain(error, trace)
            except Exception:  # noqa: BLE001 - an odd one; the standard library may have words for what it raises
                text = None
        return text or self._shape("".join(traceback.format_exception(kind, error, trace)).removesuffix("\n"))

    def __reduce__(self) -> tuple[type["Tracebacks"], tuple[Callable[[str], str]]]:
        """For another process, which has frames of its own."""
        return Tracebacks, (self._shape,)

    def _chain(self, error: BaseException, trace: TracebackType | None) -> str | None:
        """An exception with those that led to it, the first one first; None where one of them is special."""
        text = self._alone(error, trace)
        if text is None or (error.__cause__ is None and error.__context__ is None):
            return text
        parts, seen = [text], {id(error)}
        while True:
            if error.__cause__ is not None:
                error, joint = error.__cause__, self._cause
            elif error.__context__ is not None and not error.__suppress_context__:
                error, joint = error.__context__, self._context
            else:
                return "".join(reversed(parts))
            text = None if id(error) in seen else self._alone(error, error.__traceback__)
            if text is None:
                return None
            seen.add(id(error))
            parts += (joint, text)

    def _alone(self, error: BaseException, trace: TracebackType | None) -> str | None:
        """An exception without those that led to it; None where it is special."""
        if trace is None or _is_special(error):
            return None
        lines, last = self._stack(trace, self._frames, self._remember, _MOST_REPEATED), _last_line(error)
        return None if lines is None or last is None else f"{self._head}{lines}{self._shape(last)}"

    def _remember(self, key: Key, trace: TracebackType, code: CodeType) -> Frame:
        summaries = traceback.extract_tb(trace, limit=1)
        ((name, line, function, _),), (text,) = summaries, summaries.format()
        frame = weakref.ref(code), (name, line, function), self._shape(text)
        if len(text) <= _LONGEST:
            if len(self._frames) >= _CACHE_SIZE:
                self._frames.clear()
            self._frames[key] = frame
        return frame


def stack(trace: TracebackType, frames: dict[Key, Frame], remember: Callable[..., Frame], most: int) -> str | None:
    """The lines of all frames; None where more than `most` in a row are on one line, which would be shown as one.

    Args:
        trace: The traceback.
        frames: What is remembered.
        remember: Makes what is not, told its key, the traceback that begins with it, and its code.
        most: Frames on one line in a row of which each is shown.
    """
    text = ""
    place: Place | None = None
    repeated = 0
    following: TracebackType | None = trace
    while following is not None:
        code = following.tb_frame.f_code
        key = id(code), following.tb_lasti, following.tb_lineno
        known = frames.get(key)
        if known is None or known[0]() is not code:
            known = remember(key, following, code)
        before, (_, place, lines) = place, known
        repeated = repeated + 1 if place == before else 1
        if repeated > most:
            return None
        text += lines
        following = following.tb_next
    return text


def _is_special(error: BaseException) -> bool:
    """True where the standard library says more than frames and words, or, of one that is false, no cause."""
    return not bool(error) or isinstance(error, _SPECIAL) or hasattr(error, "__notes__")


def _last_line(error: BaseException) -> str | None:
    """The class and what the exception says; None where those are no ordinary texts."""
    kind, said = type(error), str(error)
    module = kind.__module__
    if type(module) is not str or type(said) is not str:  # which would have a say in how they are shown
        return None
    name = kind.__qualname__ if module in _NAMELESS else f"{module}.{kind.__qualname__}"
    return f"{name}: {said}" if said else name

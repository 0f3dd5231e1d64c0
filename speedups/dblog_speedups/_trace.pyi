from collections.abc import Callable
from types import CodeType, TracebackType
from weakref import ref

_Key = tuple[int, int, int]
_Frame = tuple[ref[CodeType], tuple[str, int | None, str], str]

def stack(
    trace: TracebackType,
    frames: dict[_Key, _Frame],
    remember: Callable[[_Key, TracebackType, CodeType], _Frame],
    most: int,
) -> str | None:
    """The lines of all frames; None where more than `most` in a row are on one line.

    Raises:
        TypeError: `trace` is no traceback.
    """

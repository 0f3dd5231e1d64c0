"""Failures of all kinds, and what the standard library says of them."""

import traceback
from collections.abc import Callable
from types import TracebackType

Info = tuple[type[BaseException], BaseException, TracebackType | None]


class Loud(str):
    """A text that shows itself as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "loud"

    def __format__(self, _: str) -> str:
        return "louder"


class MuteError(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


class EmptyError(Exception):
    """One that is false."""

    def __len__(self) -> int:
        return 0


class LoudError(Exception):
    """One whose message shows itself as another one."""

    def __str__(self) -> str:
        return Loud("quiet")


class HomelessError(Exception):
    """One that comes from nowhere."""

    __module__ = None  # type: ignore[assignment]


class BrokenError(Exception):
    """One that fails where it is asked what was added to it."""

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


def fall(depth: int, error: BaseException) -> None:
    """Raise the error that many frames further down."""
    if depth:
        fall(depth - 1, error)
    raise error


def caught(work: Callable[[], object]) -> Info:
    """What `sys.exc_info()` says once the work has failed."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - each kind
        return type(error), error, error.__traceback__
    raise AssertionError


def expected(info: Info) -> str:
    """Python's own words."""
    return "".join(traceback.format_exception(*info)).removesuffix("\n")


def told(show: Callable[[Info], str], info: Info) -> str | type[Exception]:
    """What is shown, or of what kind the error is that this ends with."""
    try:
        return show(info)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error)

"""Which rotated files have to go: decisions without input or output."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar


class Kept(Protocol):
    """What the bounds look at: a rotated file."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def mtime(self) -> float:
        """When it was written last, in seconds since 1970."""


File = TypeVar("File", bound=Kept)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be kept; None for no limit.

    Attributes:
        count: Rotated files.
        max_age: Seconds since a rotated file was written last.
        max_total: Bytes of all files, the live one and unfinished ones included.
    """

    count: int | None = None
    max_age: float | None = None
    max_total: int | None = None


def surplus(files: Iterable[File], count: int, taken: int, now: float, bounds: Bounds) -> Iterator[File]:
    """The files that are too many, too old or too much; the first that may stay ends the search.

    Args:
        files: Rotated files, the oldest first.
        count: How many there are.
        taken: Bytes of all files, the live one and unfinished ones included.
        now: Seconds since 1970.
        bounds: What may be kept.
    """
    for file in files:
        many = bounds.count is not None and count > bounds.count
        much = bounds.max_total is not None and taken > bounds.max_total
        if not (many or much or _is_old(file, now, bounds)):
            return
        yield file
        count -= 1
        taken -= file.size


def expired(files: Iterable[File], now: float, bounds: Bounds) -> Iterator[File]:
    """The files that are too old, wherever they stand: a wrong clock can leave an old one behind young ones."""
    return (file for file in files if _is_old(file, now, bounds))


def _is_old(file: Kept, now: float, bounds: Bounds) -> bool:
    return bounds.max_age is not None and now - file.mtime > bounds.max_age

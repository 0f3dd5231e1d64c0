"""Which segments this release can deliver: those for its own target whose rows it can understand."""

import os
from pathlib import Path
from typing import Final

from dblog.batch import Batch
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.segments import Figures, Segment

_LEADING: Final = COLUMN_NAMES[:4]
"""The columns that are looked at in encoded rows: all releases have them in front."""


class UnknownLayout(ValueError):  # noqa: N818 - reads as what it says
    """A segment for the same target that another release wrote, with a format or columns that are not known here."""


def claim(fd: int, expected: Header) -> Header | None:
    """The header under which the frames of a segment can be read; None for those of another target.

    Raises:
        UnknownLayout: The target is the expected one, but the format or the columns are not known.
        OSError: The file could not be read.
    """
    header = frames.read_header(fd)
    if header is None:  # cut short or altered: its frames tell whether they belong to the expected one
        return expected
    if header.target != expected.target:
        return None
    if header.format != frames.FORMAT:
        raise UnknownLayout(f"it has format {header.format}, this release reads {frames.FORMAT}")
    if unknown := [name for name in header.columns if name not in COLUMN_NAMES]:
        raise UnknownLayout(f"it has columns that this release does not know: {', '.join(unknown)}")
    if header.columns[: len(_LEADING)] != _LEADING:
        raise UnknownLayout(f"its rows do not begin with {', '.join(_LEADING)}")
    return header


def find(path: Path, expected: Header) -> Segment | None:
    """A segment that somebody else wrote, with what waits in it; None if nothing is for the expected target.

    Raises:
        UnknownLayout: It is for that target, but cannot be understood.
        OSError: It could not be read.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        header = claim(fd, expected)
        if header is None:
            return None
        size = os.fstat(fd).st_size
        waiting = Figures(bytes=size)
        for found in frames.read(fd, header, size):
            if isinstance(found, Batch):
                waiting += Figures(1, found.levels)
        ours = header.line.startswith(os.pread(fd, len(header.line), 0))  # whole, or cut short
    finally:
        os.close(fd)
    if not waiting.frames and not ours:
        return None
    segment = Segment(path, header, size)
    segment.waiting = waiting
    return segment

"""Removing lines from the beginning of a file, which needs no room on the disk."""

import os
from pathlib import Path
from typing import Final

from dblog.files.opening import open_file

_CHUNK: Final = 64 * 1024


def cut_to(path: Path, keep: int, mark: bytes, newline: bytes) -> int:
    """Remove lines from the beginning until at most `keep` bytes are left; returns the bytes removed.

    The rest is copied to the front of the file and the file cut behind it. The caller keeps others from writing.

    Args:
        path: The file.
        keep: Bytes.
        mark: What the file begins with, whatever is removed.
        newline: How a line ends.

    Raises:
        OSError: The file could not be read, written or cut.
    """
    fd = open_file(path, os.O_RDWR)
    try:
        size = os.fstat(fd).st_size
        source = _start_of_line(fd, max(0, size - keep), len(mark), newline)
        target = len(mark)
        if source <= target:
            return 0
        while chunk := os.pread(fd, _CHUNK, source):
            os.pwrite(fd, chunk, target)
            source, target = source + len(chunk), target + len(chunk)
        os.ftruncate(fd, target)
    finally:
        os.close(fd)
    return size - target


def _start_of_line(fd: int, position: int, first: int, newline: bytes) -> int:
    """The first position from `position` on at which a line begins; the end of the file where none does."""
    width = len(newline) or 1
    position -= position % width
    if position <= first:
        return first
    position -= width  # a line may begin exactly there
    while chunk := os.pread(fd, _CHUNK, position):
        found = chunk.find(newline)
        while found >= 0 and found % width:
            found = chunk.find(newline, found + 1)
        if found >= 0:
            return position + found + width
        position += len(chunk)
    return position

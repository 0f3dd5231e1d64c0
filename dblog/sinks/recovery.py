"""Closing the last frame of a journal whose process was killed."""

import os
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from dblog.batch import Batch, BatchKey
from dblog.columns import COLUMN_NAMES
from dblog.defaults import LEDGER_KEEP_DAYS
from dblog.sinks import frames
from dblog.sinks.frames import Damage, Header

_ROW: Final = re.compile(rb"([0-9a-f]{32})\t([0-9]{1,18})\t([^\t\n\x1e]+)\t(-?[0-9]{1,10})\t[^\n\x1e]*\n")
"""The writer, the batch, the timestamp and the level of a row: the first columns of all releases."""
_LEADING: Final = COLUMN_NAMES[:4]


def recover(path: Path, day: str) -> bool:
    """Make the rows behind the last frame of a journal a frame, so that the file can be read as a segment.

    The process must be dead. A line that is cut off is dropped: its call never returned. A file that is damaged, or of
    an unknown format, stays as it is. It may be called again, also after it was killed at any point.

    Args:
        path: The file.
        day: The current UTC day. The batch is born on the day of the last write, under which it may have been tried if
            a crash of the machine took its footer away; on `day` where the ledger has forgotten that one.

    Returns:
        False where there is nothing in the file, and it may be deleted.

    Raises:
        OSError: The file could not be read or written.
    """
    fd = os.open(path, os.O_RDWR)
    try:
        found = os.fstat(fd)
        header = frames.read_header(fd)
        if header is None or header.format != frames.FORMAT or header.columns[: len(_LEADING)] != _LEADING:
            return found.st_size > 0
        accepted, tail = _last(fd, header, found.st_size)
        end = found.st_size
        if tail is not None:
            written = datetime.fromtimestamp(found.st_mtime, UTC).date()
            end = _close(fd, header, tail, accepted, _birth_day(written, date.fromisoformat(day)))
        return end > len(header.line)
    finally:
        os.close(fd)


def _last(fd: int, header: Header, size: int) -> tuple[int, Damage | None]:
    """What the last frame says was accepted, and what stands behind it."""
    accepted, tail = 0, None
    for item in frames.read(fd, header, size):
        if isinstance(item, Batch):
            accepted, tail = item.accepted, None
        else:
            tail = item
    return accepted, tail


def _close(fd: int, header: Header, tail: Damage, accepted: int, birth_day: date) -> int:
    """Put a footer behind the whole rows of `tail`, in the place of a torn one; returns the new size of the file."""
    data = os.pread(fd, tail.length, tail.offset)
    rows = _leading_rows(data)
    end = rows[-1].end() if rows else 0
    rest = data[end:] if b"\n" in data[end:] else b""  # damage, for the reader to set aside; else a torn line
    if rows:
        footer = frames.footer(_batch(data[:end], rows, header, accepted, birth_day), header)
        _write(fd, footer + rest, tail.offset + end)
        end += len(footer)
    size = tail.offset + end + len(rest)
    os.ftruncate(fd, size)
    os.fsync(fd)
    return size


def _leading_rows(data: bytes) -> list[re.Match[bytes]]:
    """The rows of one batch with which `data` begins."""
    rows: list[re.Match[bytes]] = []
    position = 0
    while (row := _ROW.match(data, position)) and (not rows or row.group(1, 2) == rows[0].group(1, 2)):
        rows.append(row)
        position = row.end()
    return rows


def _batch(payload: bytes, rows: list[re.Match[bytes]], header: Header, accepted: int, birth_day: date) -> Batch:
    writer_id, seq = rows[0].group(1, 2)
    stamps = [row[3] for row in rows]
    return Batch(
        key=BatchKey(birth_day.isoformat(), writer_id.decode(), int(seq)),
        payload=payload,
        levels=Counter(int(row[4]) for row in rows),
        time_from=min(stamps).decode(),
        time_to=max(stamps).decode(),
        accepted=accepted + len(rows),
        columns=header.columns,
    )


def _birth_day(written: date, today: date) -> date:
    remembered = today - timedelta(days=LEDGER_KEEP_DAYS - 1)
    return written if remembered < written <= today else today


def _write(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written

r"""The frames of the spool: bytes from batches, and batches from bytes that may be damaged anywhere.

A segment is a header line and any number of frames; a frame is the rows of one batch as COPY reads them, closed by
a footer line:

    {"format":1,"target":"...","columns":["writer_id",...],"crc":"5b0d44e1"}\n
    row\n row\n row\n
    \x1e{"birth_day":"2026-11-21",...,"length":812,...,"crc":"c41f0a9b"}\n

The checksum of a footer covers the header, the rows and the footer's own fields. A frame is therefore whole only
under the header it was written for: rows of one target can never be taken for those of another, and a damaged
header costs no frame. The length leads back from the footer to the first row, so that whatever stands in front of
a whole frame cannot spoil it. Frames of rows that were set aside carry a "reason", too. A frame is cancelled by
writing the complement of its checksum over it.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from dblog.batch import Batch, BatchKey

FORMAT: Final = 1
"""The version of the format, part of the header."""

MARK: Final = b'\x1e{"birth_day":'
_CHUNK: Final = 256 * 1024
_FOOTER_SIZES: Final = (1024, 16 * 1024 * 1024)
"""Bytes to read for a footer: nearly all fit into the first; each distinct level of a batch adds up to 20 bytes."""
_CRC: Final = slice(-11, -3)
"""Where the checksum stands in a footer."""
_HEADER_MAX: Final = 64 * 1024
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a segment."""

    format: int
    """The version of the format; only `FORMAT` can be read, but any header has this line."""
    target: str
    """Which database, schema and tables the rows are for."""
    columns: tuple[str, ...]
    """What the fields of the rows are."""
    line: bytes
    """The line as it stands in the file, with its newline."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that belong to no whole frame."""

    offset: int
    """Where they begin, in bytes from the start of the segment."""
    length: int
    """How many they are."""
    reason: str


def make_header(target: str, columns: Iterable[str]) -> Header:
    """The header of segments for `target` whose rows have `columns`."""
    names = tuple(columns)
    line = _sealed({"format": FORMAT, "target": target, "columns": names}, 0)
    return Header(FORMAT, target, names, line)


def read_header(fd: int) -> Header | None:
    """The header of a segment; None if it is cut short or altered.

    Raises:
        OSError: The file could not be read.
    """
    first = os.pread(fd, _HEADER_MAX, 0)
    line = first[: first.find(b"\n") + 1]
    if line != _seal(line[: -len(_seal(b"}", 0))] + b"}", 0):
        return None
    try:
        fields = json.loads(line)
        version, target, columns = fields["format"], fields["target"], fields["columns"]
    except _MALFORMED:
        return None
    typed = type(version) is int and isinstance(target, str) and isinstance(columns, list)
    return Header(version, target, tuple(map(str, columns)), line) if typed else None


def encode(batch: Batch, header: Header) -> bytes:
    """The frame of `batch` in a segment that begins with `header`.

    Raises:
        ValueError: The rows have other columns than the header says.
    """
    return batch.payload + footer(batch, header)


def footer(batch: Batch, header: Header) -> bytes:
    """The line that closes the frame of `batch`, behind its rows.

    Raises:
        ValueError: The rows have other columns than the header says.
    """
    if batch.columns != header.columns:
        raise ValueError(f"{batch.key} has other columns than its segment")
    fields = {
        "birth_day": batch.key.birth_day,
        "writer_id": batch.key.writer_id,
        "seq": batch.key.seq,
        "length": len(batch.payload),
        "levels": dict(batch.levels),
        "highest": max(batch.levels, default=None),
        "time_from": batch.time_from,
        "time_to": batch.time_to,
        "accepted": batch.accepted,
        "closing": batch.closing,
    }
    if batch.reason is not None:
        fields["reason"] = batch.reason
    return b"\x1e" + _sealed(fields, crc32(batch.payload, crc32(header.line)))


def read(fd: int, header: Header, end: int) -> Iterator[Batch | Damage]:
    """Read the whole frames among the first `end` bytes of a segment, and what is none; cancelled ones are left out.

    Nothing in the file can make it raise. It holds one frame and one chunk of 256 KiB in memory.

    Args:
        fd: The segment.
        header: Its header, or what it was if the one in the file is damaged.
        end: Bytes from the start of the file.

    Raises:
        OSError: The file could not be read.
    """
    return (found for _, found in locate(fd, header, end))


def locate(fd: int, header: Header, end: int) -> Iterator[tuple[int, Batch | Damage]]:
    """Like `read`, each frame with the offset of its footer, damage with its own."""
    start = len(header.line) if os.pread(fd, len(header.line), 0) == header.line else 0
    for mark in _marks(fd, start, end):
        line = _footer_line(fd, mark, end)
        frame = _decode(fd, start, mark, line, header)
        if frame is None:
            continue
        batch, cancelled = frame
        first = mark - len(batch.payload)
        if first > start:
            yield start, Damage(start, first - start, "altered or incomplete")
        if not cancelled:
            yield mark, batch
        start = mark + len(line)
    if start < end:
        yield start, Damage(start, end - start, "altered, or cut off at the end")


def cancel(fd: int, batch: Batch, header: Header, mark: int) -> None:
    """Let the frame of `batch`, whose footer stands at `mark`, never be read again; once more does no harm.

    Raises:
        OSError: The file could not be written.
    """
    line = footer(batch, header)
    os.pwrite(fd, _cancelled(line)[_CRC], mark + len(line) + _CRC.start)


def _marks(fd: int, start: int, end: int) -> Iterator[int]:
    """The offsets at which a footer may begin."""
    tail = b""
    while chunk := os.pread(fd, min(_CHUNK, end - start), start):
        window = tail + chunk
        found = window.find(MARK)
        while found >= 0:
            yield start - len(tail) + found
            found = window.find(MARK, found + 1)
        tail = window[1 - len(MARK) :]
        start += len(chunk)


def _footer_line(fd: int, mark: int, end: int) -> bytes:
    for size in _FOOTER_SIZES:
        line = os.pread(fd, min(size, end - mark), mark)
        length = line.find(b"\n") + 1
        if length:
            return line[:length]
    return b""


def _decode(fd: int, start: int, mark: int, line: bytes, header: Header) -> tuple[Batch, bool] | None:
    """The batch whose footer `line` stands at `mark`, if all of it lies behind `start` and is as it was written.

    True with it if it was cancelled since.
    """
    try:
        fields = json.loads(line[1:])
        length = fields["length"]
        if not 0 <= length <= mark - start:
            return None
        batch = _batch(fields, os.pread(fd, length, mark - length), header.columns)
        whole = footer(batch, header)
        return (batch, line != whole) if line in (whole, _cancelled(whole)) else None
    except _MALFORMED:
        return None


def _cancelled(line: bytes) -> bytes:
    """A footer with the complement of its checksum."""
    return line[: _CRC.start] + b"%08x" % (int(line[_CRC], 16) ^ 0xFFFFFFFF) + line[_CRC.stop :]


def _batch(fields: Mapping[str, Any], payload: bytes, columns: tuple[str, ...]) -> Batch:
    return Batch(
        key=BatchKey(fields["birth_day"], fields["writer_id"], fields["seq"]),
        payload=payload,
        levels={int(level): int(rows) for level, rows in fields["levels"].items()},
        time_from=fields["time_from"],
        time_to=fields["time_to"],
        accepted=fields["accepted"],
        closing=fields["closing"],
        columns=columns,
        reason=fields.get("reason"),
    )


def _sealed(fields: Mapping[str, object], crc: int) -> bytes:
    return _seal(json.dumps(fields, separators=(",", ":")).encode(), crc)


def _seal(text: bytes, crc: int) -> bytes:
    """Close a JSON object with the checksum of itself and of what `crc` already covers."""
    return text[:-1] + b',"crc":"%08x"}\n' % crc32(text, crc)

r"""The frames of the spool: bytes from batches, and batches from bytes that may be damaged anywhere.

A segment is a header line and any number of frames; a frame is the rows of one batch as COPY reads them, closed by
a footer line:

    {"format":1,"target":"...","columns":["writer_id",...],"crc":"5b0d44e1"}\n
    row\n row\n row\n
    \x1e{"birth_day":"2026-11-21",...,"length":812,...,"crc":"c41f0a9b"}\n

The checksum of a footer covers the header, the rows and the footer's own fields. A frame is therefore whole only
under the header it was written for: rows of one target can never be taken for those of another, and a damaged
header costs no frame. The length leads back from the footer to the first row, so that whatever stands in front of
a whole frame cannot spoil it.
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

_MARK: Final = b'\x1e{"birth_day":'
_CHUNK: Final = 256 * 1024
_FOOTER_SIZES: Final = (1024, 16 * 1024 * 1024)
"""Bytes to read for a footer: nearly all fit into the first; each distinct level of a batch adds up to 20 bytes."""
_HEADER_MAX: Final = 64 * 1024
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that belong to no whole frame."""

    offset: int
    """Where they begin, in bytes from the start of the segment."""
    length: int
    """How many they are."""
    reason: str


def make_header(target: str, columns: Iterable[str]) -> bytes:
    """The header line of segments for `target` whose rows have `columns`."""
    return _sealed({"format": FORMAT, "target": target, "columns": list(columns)}, 0)


def is_foreign(fd: int, header: bytes) -> bool:
    """True for a segment with an intact header other than `header`; a damaged one does not tell."""
    first = os.pread(fd, _HEADER_MAX, 0)
    line = first[: first.find(b"\n") + 1]
    return line != header and line == _seal(line[: -len(_seal(b"}", 0))] + b"}", 0)


def encode(batch: Batch, header: bytes) -> bytes:
    """The frame of `batch` in a segment that begins with `header`."""
    return batch.payload + _footer(batch, header)


def read(fd: int, header: bytes, end: int) -> Iterator[Batch | Damage]:
    """Read the whole frames among the first `end` bytes of a segment, and what is none.

    Nothing in the file can make it raise. It holds one frame and one chunk of 256 KiB in memory.

    Raises:
        OSError: The file could not be read.
    """
    start = len(header) if os.pread(fd, len(header), 0) == header else 0
    for mark in _marks(fd, start, end):
        line = _footer_line(fd, mark, end)
        batch = _decode(fd, start, mark, line, header)
        if batch is None:
            continue
        first = mark - len(batch.payload)
        if first > start:
            yield Damage(start, first - start, "altered or incomplete")
        yield batch
        start = mark + len(line)
    if start < end:
        yield Damage(start, end - start, "altered, or cut off at the end")


def _marks(fd: int, start: int, end: int) -> Iterator[int]:
    """The offsets at which a footer may begin."""
    tail = b""
    while chunk := os.pread(fd, min(_CHUNK, end - start), start):
        window = tail + chunk
        found = window.find(_MARK)
        while found >= 0:
            yield start - len(tail) + found
            found = window.find(_MARK, found + 1)
        tail = window[1 - len(_MARK) :]
        start += len(chunk)


def _footer_line(fd: int, mark: int, end: int) -> bytes:
    for size in _FOOTER_SIZES:
        line = os.pread(fd, min(size, end - mark), mark)
        length = line.find(b"\n") + 1
        if length:
            return line[:length]
    return b""


def _decode(fd: int, start: int, mark: int, line: bytes, header: bytes) -> Batch | None:
    """The batch whose footer `line` stands at `mark`, if all of it lies behind `start` and is as it was written."""
    try:
        fields = json.loads(line[1:])
        length = fields["length"]
        if not 0 <= length <= mark - start:
            return None
        batch = _batch(fields, os.pread(fd, length, mark - length))
        return batch if _footer(batch, header) == line else None
    except _MALFORMED:
        return None


def _footer(batch: Batch, header: bytes) -> bytes:
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
    return b"\x1e" + _sealed(fields, crc32(batch.payload, crc32(header)))


def _batch(fields: Mapping[str, Any], payload: bytes) -> Batch:
    return Batch(
        key=BatchKey(fields["birth_day"], fields["writer_id"], fields["seq"]),
        payload=payload,
        levels={int(level): int(rows) for level, rows in fields["levels"].items()},
        time_from=fields["time_from"],
        time_to=fields["time_to"],
        accepted=fields["accepted"],
        closing=fields["closing"],
    )


def _sealed(fields: Mapping[str, object], crc: int) -> bytes:
    return _seal(json.dumps(fields, separators=(",", ":")).encode(), crc)


def _seal(text: bytes, crc: int) -> bytes:
    """Close a JSON object with the checksum of itself and of what `crc` already covers."""
    return text[:-1] + b',"crc":"%08x"}\n' % crc32(text, crc)

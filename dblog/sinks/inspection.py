"""What is in the files of a spool: read by anybody, while their writers may be writing to them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.frames import Damage, Header
from dblog.sinks.layout import UnknownLayout

Kind = Literal["segment", "journal", "refused", "rejected"]
BatchName = bytes
"""The writer and the number of a batch, as the rows have them: their first two fields."""

_CHUNK: Final = 256 * 1024
_MARK: Final = b"\x1e"


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A file that holds rows."""

    path: Path
    kind: Kind
    growing: bool = False
    """True where its writer lives and may be writing to its end at this moment."""


@dataclass(frozen=True, slots=True)
class Loose:
    """Rows of a journal that belong to no batch yet."""

    payload: bytes
    """Whole rows in COPY text format."""
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file."""

    header: Header | None = None
    """Its own, or where that cannot be read the one of a file beside it; None where there is neither."""
    frames: int = 0
    levels: Mapping[int, int] = field(default_factory=dict)
    """Rows by level number; those that were delivered already count until the file is deleted as a whole."""
    bytes: int = 0
    oldest: str | None = None
    """The smallest timestamp, as PostgreSQL reads it."""
    newest: str | None = None
    damages: tuple[Damage, ...] = ()
    problem: str | None = None
    """Why it cannot be read though it may be whole."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.levels.values())


def open_to_read(path: Path) -> int:
    """A descriptor of a file; of whatever else stands there, too, without waiting for it.

    Raises:
        OSError: It could not be opened.
    """
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def read(file: SpoolFile, seen: set[BatchName] | None = None) -> Iterator[Batch | Loose | Damage]:
    """The frames of a file, and what is none; holds one frame and one chunk of 256 KiB in memory.

    Args:
        file: The file.
        seen: Batches that are left out, because another file had them; those of this file are added. A segment and
            the journal of the same writer may both have a batch: the segment has to be read first.

    Raises:
        OSError: It could not be opened or read; FileNotFoundError where it has gone.
        UnknownLayout: Another release wrote it, in a format that this one does not know.
    """
    header = header_of(file)
    fd = open_to_read(file.path)
    try:
        size = os.fstat(fd).st_size
        if header is None:
            if size and not file.growing:
                yield Damage(0, size, "has no header that can be read, nor has a file beside it")
            return
        if header.format != frames.FORMAT:
            raise UnknownLayout(f"it has format {header.format}, this release reads {frames.FORMAT}")
        for found in frames.read(fd, header, size):
            if isinstance(found, Batch):
                if seen is None or _is_new(found, seen):
                    yield found
            elif found.offset + found.length < size:
                yield found
            elif file.kind == "journal":
                yield from _loose(fd, found.offset, size, header, seen or frozenset())
            elif not file.growing:
                yield found
    finally:
        os.close(fd)


def examine(file: SpoolFile, seen: set[BatchName] | None = None) -> Contents:
    """Read a whole file and sum it up, without the batches of `seen`, as `read` has it.

    Raises:
        OSError: It could not be opened or read; FileNotFoundError where it has gone.
    """
    header, size = header_of(file), file.path.stat().st_size
    count, problem = 0, None
    levels: Counter[int] = Counter()
    oldest: str | None = None
    newest: str | None = None
    damages: list[Damage] = []
    try:
        for found in read(file, seen):
            if isinstance(found, Damage):
                damages.append(found)
                continue
            count += isinstance(found, Batch)
            part, stamps = _summed_up(found)
            levels.update(part)
            if stamps:
                oldest = min([*stamps, oldest or stamps[0]])
                newest = max([*stamps, newest or stamps[0]])
    except UnknownLayout as error:
        problem = str(error)
    return Contents(header, count, levels, size, oldest, newest, tuple(damages), problem)


def header_of(file: SpoolFile) -> Header | None:
    """The header of a file, else of another one of the same writer: most likely both were begun with the same.

    Raises:
        OSError: The file could not be opened or read.
    """
    header = _read_header(file.path)
    if header is None:
        others = (path for path in sorted(file.path.parent.iterdir()) if path.suffix in (".seg", ".journal"))
        header = next((found for path in others if (found := _try_header(path)) is not None), None)
    return header


def _read_header(path: Path) -> Header | None:
    fd = open_to_read(path)
    try:
        return frames.read_header(fd)
    finally:
        os.close(fd)


def _try_header(path: Path) -> Header | None:
    try:
        return _read_header(path)
    except OSError:  # delivered in the meantime, or no file at all
        return None


def _is_new(batch: Batch, seen: set[BatchName]) -> bool:
    before = len(seen)
    seen.add(f"{batch.key.writer_id}\t{batch.key.seq}".encode())
    return len(seen) > before


def _loose(fd: int, start: int, end: int, header: Header, seen: Set[BatchName]) -> Iterator[Loose]:
    """The rows behind the last footer of a journal; one that is cut short is being written, or was never logged."""
    start = max(start, len(header.line))
    rest = b""
    while chunk := os.pread(fd, min(_CHUNK, end - start), start):
        start += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        rows = [line + b"\n" for line in lines if not line.startswith(_MARK)]  # a footer was written meanwhile
        rows = [row for row in rows if b"\t".join(row.split(b"\t", 2)[:2]) not in seen]
        if rows:
            yield Loose(b"".join(rows), header.columns)


def _summed_up(found: Batch | Loose) -> tuple[Mapping[int, int], list[str]]:
    """Rows by level number, and timestamps of which the first and the last are among them."""
    if isinstance(found, Batch):
        return found.levels, [stamp for stamp in (found.time_from, found.time_to) if stamp is not None]
    if not {"timestamp", "level_no"} <= set(found.columns):
        return {}, []
    stamp, level = found.columns.index("timestamp"), found.columns.index("level_no")
    rows = [line.split(b"\t") for line in found.payload.splitlines()]
    whole = [row for row in rows if len(row) == len(found.columns) and row[level].isdigit()]
    stamps = sorted(row[stamp].decode("ascii", "replace") for row in whole)
    return Counter(int(row[level]) for row in whole), stamps[:1] + stamps[-1:]

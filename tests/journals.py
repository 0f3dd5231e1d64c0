"""Journals and their queues, and what a reader finds in the files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dblog.batch import Batch
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.frames import Damage
from dblog.sinks.journal import Journal
from dblog.writing.journalqueue import JournalQueue

WRITER = "0123456789abcdef0123456789abcdef"
HEADER = frames.make_header("here", COLUMN_NAMES)
STAMP = "2026-11-21 10:00:00.{:06}+00"


def line(number: int, level: int = 20, width: int = 0) -> bytes:
    """An encoded line that carries its number."""
    return f"{STAMP.format(number % 10**6)}\t{level}\tNAME\t{number}\t".ljust(width, "x").encode() + b"\n"


def number_of(row: bytes) -> int:
    """The number that a row carries."""
    return int(row.split(b"\t")[5])


def make_journal(folder: Path, **options: Any) -> Journal:
    """A journal in the writer's directory below `folder`."""
    home = folder / WRITER
    return Journal(home, HEADER, **{"make_home": lambda: home.mkdir(exist_ok=True), "fsync": "never", **options})


def make_queue(
    journal: Journal, *, trouble: Callable[[OSError], None] | None = None, batch_size: int = 10, **options: Any
) -> JournalQueue:
    """A queue in front of a journal; a trouble that nobody asks for is a failure."""
    return JournalQueue(
        2**30,
        journal,
        writer_id=WRITER,
        batch_size=batch_size,
        batch_bytes=options.pop("batch_bytes", 2**20),
        trouble=trouble or _fail,
        **options,
    )


def files(folder: Path) -> list[Path]:
    """The files of the journal below `folder`, oldest first."""
    return sorted((folder / WRITER).glob("*.journal"))


def read(path: Path) -> list[Batch | Damage]:
    """What a reader of segments finds in a file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(frames.read(fd, frames.read_header(fd) or HEADER, path.stat().st_size))
    finally:
        os.close(fd)


def batches(path: Path) -> list[Batch]:
    """The batches in a file in which nothing is damaged."""
    found = read(path)
    assert not [item for item in found if isinstance(item, Damage)]
    return [item for item in found if isinstance(item, Batch)]


def rows(*found: Batch) -> list[bytes]:
    """The rows of batches, in order."""
    return [row for batch in found for row in batch.payload.splitlines(keepends=True)]


def take_all(queue: JournalQueue) -> list[Batch]:
    """Take batches until the queue is empty."""
    taken = []
    while (batch := queue.take(1, 1)) is not None:
        taken.append(batch)
    return taken


def _fail(error: OSError) -> None:
    raise AssertionError(f"the journal failed: {error}")

"""What tests do with spools."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid5

from dblog.batch import Batch, Rejected
from dblog.sinks import frames
from dblog.sinks.spool import Spool

MakeBatch = Callable[..., Batch]
MakeSpool = Callable[..., Spool]

CHANGING = ("open", "write", "fsync", "rename", "unlink", "mkdir", "rmdir", "truncate", "ftruncate", "pwrite")
"""The functions of `os` through which everything goes that changes a file or directory."""


def drain(spool: Spool) -> Iterator[Batch]:
    """Take everything that waits."""
    while (batch := spool.oldest()) is not None:
        yield batch
        spool.acknowledge(batch)


def leave(spool: Spool, *batches: Batch) -> None:
    """Append batches and close, as a writer does that could not deliver them."""
    for batch in batches:
        spool.append(batch)
    spool.close()


def fill(spool: Spool, make_batch: MakeBatch, first: int, width: int = 2000) -> tuple[list[Batch], OSError]:
    """Append until the spool takes no more; returns what it took, and what it said."""
    taken: list[Batch] = []
    try:
        for seq in range(first, first + 1000):
            batch = make_batch(seq, width=width)
            spool.append(batch)
            taken.append(batch)
    except OSError as error:
        return taken, error
    raise AssertionError("1000 batches fitted")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def waiting_files(directory: Path) -> list[str]:
    """The names of all files below a directory in which others make and remove some, and folders with them."""
    return sorted(name for _, _, names in os.walk(directory) for name in names)


def waiting_segments(directory: Path) -> list[str]:
    """The names of all segments below such a directory: `rglob` would fail where a folder goes while it is listed."""
    return [name for name in waiting_files(directory) if name.endswith(".seg")]


def segments(home: Path) -> list[str]:
    """The names of the segments, in order."""
    return sorted(path.name for path in home.glob("*.seg"))


def flip(path: Path, offset: int) -> None:
    """Alter one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


@contextmanager
def failing(error: int, *names: str) -> Iterator[None]:
    """These functions of `os` fail; for what no file system does on demand."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with ExitStack() as patches:
        for name in names:
            patches.enter_context(mock.patch.object(os, name, fail))
        yield


def killed_at(call: int, action: Callable[[], object]) -> bool:
    """Do `action` in a forked process that kills itself before its `call`-th change of a file, counted from 0.

    Returns:
        False if it came to its end: there were not so many calls.
    """
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        return code != 0
    left = call

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*arguments, **options)

        return run

    code = 1
    try:
        for name in CHANGING:
            setattr(os, name, counted(getattr(os, name)))
        action()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the test may run on in the child
        traceback.print_exc()
    finally:
        os._exit(code)


def refuse(batch: Batch, *numbers: int, reason: str = "bad") -> list[Rejected]:
    """Some rows of a batch, by their place."""
    rows = batch.payload.splitlines(keepends=True)
    return [Rejected(rows[number], reason) for number in numbers]


def name_of(batch: Batch) -> str:
    """The name of the file that holds what was set aside of a batch."""
    return f"{batch.key.birth_day}-{batch.key.writer_id}-{batch.key.seq}.seg"


def derived(batch: Batch) -> str:
    """The writer under which rows of a batch that were set aside can be delivered."""
    return uuid5(UUID(batch.key.writer_id), str(batch.key.seq)).hex


def frames_in(path: Path) -> list[Batch]:
    """The frames of a file, which must be whole."""
    with path.open("rb", buffering=0) as file:
        header = frames.read_header(file.fileno())
        assert header is not None
        found = list(frames.read(file.fileno(), header, path.stat().st_size))
    batches = [item for item in found if isinstance(item, Batch)]
    assert batches == found
    return batches


def files(directory: Path) -> list[str]:
    """The files of a directory that may not be there."""
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

"""Where an archive is kept: a directory, or a bucket of an object store."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from dblog.archive.interfaces import S3, Store
from dblog.archive.problems import StoreError
from dblog.durable import UNFINISHED, sync_directory
from dblog.errors import UsageError


class LocalStore:
    """A directory; it is made with the first file."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def location(self) -> str:
        """The absolute path."""
        return str(self._root)

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Write beside the file under a hidden name, bring it to the disk, and rename it."""
        final = self._root / path
        _make_folder(final.parent)
        beside = final.with_name(f".{final.name}{UNFINISHED}")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            beside.unlink(missing_ok=True)  # on a full disk its bytes are needed
            raise
        beside.rename(final)
        sync_directory(final.parent)

    def reading(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file."""
        return (self._root / path).open("rb")

    def names(self, folder: str) -> list[str]:
        """What is in a folder."""
        try:
            return sorted(found.name for found in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []

    def delete(self, path: str) -> None:
        """Remove a file."""
        (self._root / path).unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they outlive a failure of the power."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o750, exist_ok=True)
        sync_directory(folder.parent)


def open_store(location: str) -> Store:
    """The store at a path or an `s3://` address; nothing is made or asked yet.

    Raises:
        UsageError: The address is of no kind that is known, or names no bucket.
        DblogError: What an object store needs is not installed.
    """
    if location.startswith(S3):
        from dblog.archive.s3 import S3Store

        return S3Store(location)
    if "://" in location or not location:
        raise UsageError(f"archive: {location!r} is no place for one; accepted: a directory, or s3://bucket/prefix")
    return LocalStore(Path(location))


@contextmanager
def clear_errors(location: str) -> Iterator[None]:
    """Turn a refusal of the store into one line that names it.

    Raises:
        StoreError: It refused.
    """
    try:
        yield
    except OSError as error:
        where = f" {error.filename}:" if isinstance(error.filename, str) else ""
        raise StoreError(f"archive {location}:{where} {reason_of(error)}") from None


def reason_of(error: OSError) -> str:
    """Why a store refused, in one line."""
    return error.strerror or str(error).split("\n", 1)[0].split(" (Request ID", 1)[0]

"""The files of an archive: `{prefix}_logs/date=2026-11-21/{partition}-1.parquet`, a manifest beside each.

A file without a manifest counts for nothing: whoever wrote it did not come to its end.
"""

import errno
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO, Final

from dblog.archive import unfinished
from dblog.archive.formats import format_of
from dblog.archive.interfaces import Rows, Store
from dblog.archive.manifest import Manifest
from dblog.archive.problems import Damaged, Unread, Unusable
from dblog.archive.stores import clear_errors, open_store, reason_of
from dblog.errors import DblogError
from dblog.store.names import Names

FIRST: Final = date.min
LAST: Final = date.max

_FOLDER: Final = "date="
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file with its manifest."""

    day: date
    """The UTC day of its rows."""
    manifest: Manifest
    path: str
    """Below the root of the archive."""


class Archive:
    """The part of an archive that belongs to one `{prefix}_logs`."""

    def __init__(self, store: Store, table: str) -> None:
        self.store: Final = store
        self.folder: Final = table
        """The folder of the table, below the root."""

    @classmethod
    def at(cls, location: str, prefix: str) -> "Archive":
        """The archive at a path or an `s3://` address.

        Raises:
            UsageError: The address is of no kind that is known.
            DblogError: What an object store needs is not installed.
        """
        with clear_errors(location):
            return cls(open_store(location), Names("", prefix).logs)

    @property
    def where(self) -> str:
        """The folder of the table, as a person would write it."""
        return f"{self.store.location}/{self.folder}"

    def is_there(self) -> bool:
        """Whether anything was archived here: a place that is not there must not pass for an empty archive.

        Raises:
            StoreError: It cannot be read.
        """
        with clear_errors(self.where):
            return bool(self.store.names(self.folder))

    def require(self) -> None:
        """Make sure that something was archived here.

        Raises:
            DblogError: Nothing was.
            StoreError: It cannot be read.
        """
        if not self.is_there():
            raise DblogError(
                f"archive {self.where}: nothing is there: mistyped, not mounted, or nothing was archived yet"
            )

    def days(self, first: date = FIRST, last: date = LAST) -> list[date]:
        """The days, from the first to the last, that the archive has a folder for, oldest first."""
        found = (_day_of(name) for name in self.store.names(self.folder))
        return sorted(day for day in found if day is not None and first <= day <= last)

    def names(self, day: date) -> list[str]:
        """The names in the folder of a day."""
        return self.store.names(self.folder_of(day))

    def files(self, first: date = FIRST, last: date = LAST) -> list[ArchivedFile]:
        """The files of some days by time.

        Raises:
            Unusable: A manifest is.
        """
        return in_order(file for day in self.days(first, last) for file in self.files_of(day))

    def files_of(self, day: date) -> list[ArchivedFile]:
        """The files of a day.

        Raises:
            Unusable: A manifest is.
        """
        return [self.file(day, name) for name in self.names(day) if is_manifest(name)]

    def file(self, day: date, manifest: str) -> ArchivedFile:
        """The file that a manifest of a day speaks of.

        Raises:
            Unusable: The manifest is.
        """
        path = f"{self.folder_of(day)}/{manifest}"
        try:
            with self.store.reading(path) as source:
                found = Manifest.from_json(source.read())
        except OSError as error:
            raise self.unread(path, "manifest", error) from None
        except ValueError as error:
            raise self._damaged(path, str(error)) from None
        if found.name != manifest:
            raise self._damaged(path, f"the manifest is of another file, {found.file!r}")
        return ArchivedFile(day, found, f"{self.folder_of(day)}/{found.file}")

    def path_for(self, day: date, partition: str, suffix: str) -> str:
        """The path of the next file of a partition: the first number that no file has, nor a manifest."""
        taken = {name.lstrip("_").partition(".")[0] for name in self.names(day)}
        stem = _stem_of(partition)
        number = next(number for number in range(1, len(taken) + 2) if f"{stem}-{number}" not in taken)
        return f"{self.folder_of(day)}/{stem}-{number}.{suffix}"

    def clear(self, day: date, partition: str) -> None:
        """Remove what runs that were cut short have left of a partition's day; nobody else may be writing it."""
        unfinished.clear(self.store, self.folder_of(day), _stem_of(partition))

    def put(self, day: date, manifest: Manifest) -> None:
        """Make a file count."""
        folder = self.folder_of(day)
        with self.store.writing(f"{folder}/{manifest.name}") as sink:
            sink.write(manifest.to_json())
        unfinished.end(self.store, f"{folder}/{manifest.file}")

    @contextmanager
    def opened(self, file: ArchivedFile) -> Iterator[IO[bytes]]:
        """Open a file.

        Raises:
            Damaged: It is not there.
        """
        try:
            source = self.store.reading(file.path)
        except FileNotFoundError:
            raise self._damaged(file.path, "the file is missing, its manifest is there") from None
        with source as opened:
            yield opened

    def check(self, file: ArchivedFile) -> None:
        """Compare the bytes of a file with its manifest.

        Raises:
            Damaged: It is missing, no file, or another.
            Unread: It cannot be read now.
        """
        try:
            with self.opened(file) as source:
                digest = digest_of(source)
        except OSError as error:
            raise self.unread(file.path, "file", error) from None
        if digest != file.manifest.sha256:
            raise self.damaged(file, "its SHA-256 is not that of the manifest")

    def rows(self, file: ArchivedFile) -> Rows:
        """The rows of a file.

        Raises:
            Damaged: It is missing or damaged, or its rows are not those that were archived.
        """
        manifest, digest = file.manifest, hashlib.sha256()
        try:
            with self.opened(file) as source:
                for piece in format_of(manifest.format).read(source, manifest.columns):
                    digest.update(piece)
                    yield piece
        except (ValueError, EOFError) as error:
            raise self.damaged(file, str(error).split("\n", 1)[0]) from None
        if digest.hexdigest() != manifest.rows_sha256:
            raise self.damaged(file, "its rows are not those that were archived")

    def damaged(self, file: ArchivedFile, reason: str) -> Damaged:
        """The error that a file is damaged."""
        return self._damaged(file.path, f"the archived file is damaged: {reason}")

    def _damaged(self, path: str, reason: str) -> Damaged:
        return Damaged(self.store.location, path, reason)

    def unread(self, path: str, what: str, error: OSError) -> Unusable:
        """The error that something cannot be read: damage where the disk itself says so."""
        if isinstance(error, IsADirectoryError):
            return self._damaged(path, f"the {what} is a folder")
        if error.errno == errno.EIO:
            return self._damaged(path, f"the {what} cannot be read: {reason_of(error)}")
        return Unread(self.store.location, path, f"the {what} cannot be read now: {reason_of(error)}")

    def folder_of(self, day: date) -> str:
        """The folder of a day, below the root."""
        return f"{self.folder}/{_FOLDER}{day.isoformat()}"


def is_manifest(name: str) -> bool:
    """Whether a name is that of a manifest."""
    return name.startswith("_") and name.endswith(".json")


def in_order(files: Iterable[ArchivedFile]) -> list[ArchivedFile]:
    """Files by time."""
    return sorted(files, key=lambda file: (file.day, file.manifest.time_from, file.path))


def digest_of(source: IO[bytes]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while piece := source.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _stem_of(partition: str) -> str:
    """How the names of a partition's files begin; one that begins with an underscore would be passed over."""
    return re.sub(r"[^\w-]", "_", partition).lstrip("_")


def _day_of(folder: str) -> date | None:
    """The day of a folder; None where it is another's."""
    try:
        return date.fromisoformat(folder.removeprefix(_FOLDER)) if folder.startswith(_FOLDER) else None
    except ValueError:
        return None

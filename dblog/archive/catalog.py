"""The files of an archive: `{prefix}_logs/date=2026-11-21/{partition}-1.parquet`, a manifest beside each.

A file without a manifest counts for nothing: whoever wrote it did not come to its end.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO, Final

from dblog.archive.formats import format_of
from dblog.archive.interfaces import Rows, Store
from dblog.archive.manifest import Manifest
from dblog.archive.stores import clear_errors, open_store
from dblog.errors import DblogError
from dblog.store.names import Names

FIRST: Final = date.min
LAST: Final = date.max

_FOLDER: Final = "date="
_OURS: Final = re.compile(r"[^._].*-\d+\.(parquet|jsonl\.gz)|\..*\.(parquet|jsonl\.gz|json)\.tmp", re.DOTALL)
"""Files with rows, and what is not finished; whatever else is in a folder is somebody else's."""

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
        self._table = table

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
        return f"{self.store.location}/{self._table}"

    def days(self, first: date = FIRST, last: date = LAST) -> list[date]:
        """The days, from the first to the last, that the archive has a folder for, oldest first."""
        found = (_day_of(name) for name in self.store.names(self._table))
        return sorted(day for day in found if day is not None and first <= day <= last)

    def files(self, first: date = FIRST, last: date = LAST) -> list[ArchivedFile]:
        """The files of some days by time.

        Raises:
            DblogError: A manifest is damaged.
        """
        found = [file for day in self.days(first, last) for file in self.files_of(day)]
        return sorted(found, key=lambda file: (file.day, file.manifest.time_from, file.path))

    def files_of(self, day: date) -> list[ArchivedFile]:
        """The files of a day.

        Raises:
            DblogError: A manifest is damaged.
        """
        folder = self._folder(day)
        names = (name for name in self.store.names(folder) if name.startswith("_") and name.endswith(".json"))
        return [self._file(day, folder, name) for name in names]

    def path_for(self, day: date, partition: str, suffix: str) -> str:
        """The path of the next file of a partition: the first that no manifest speaks of."""
        taken = {file.manifest.file.partition(".")[0] for file in self.files_of(day)}
        stem = re.sub(r"[^\w-]", "_", partition).lstrip("_")  # a name that begins so is passed over
        number = next(number for number in range(1, len(taken) + 2) if f"{stem}-{number}" not in taken)
        return f"{self._folder(day)}/{stem}-{number}.{suffix}"

    def clear(self, day: date) -> None:
        """Remove what runs that were cut short have left of a day; nobody else may be writing there."""
        folder = self._folder(day)
        kept = {file.manifest.file for file in self.files_of(day)}
        for name in self.store.names(folder):
            if _OURS.fullmatch(name) and name not in kept:
                self.store.delete(f"{folder}/{name}")

    def put(self, day: date, manifest: Manifest) -> None:
        """Make a file count."""
        with self.store.writing(f"{self._folder(day)}/{manifest.name}") as sink:
            sink.write(manifest.to_json())

    @contextmanager
    def opened(self, file: ArchivedFile) -> Iterator[IO[bytes]]:
        """Open a file.

        Raises:
            DblogError: It is not there.
        """
        try:
            source = self.store.reading(file.path)
        except FileNotFoundError:
            raise DblogError(f"{self.store.location}/{file.path}: the file is missing, its manifest is there") from None
        with source as opened:
            yield opened

    def check(self, file: ArchivedFile) -> None:
        """Compare the bytes of a file with its manifest.

        Raises:
            DblogError: It is missing or damaged.
        """
        with self.opened(file) as source:
            if digest_of(source) != file.manifest.sha256:
                raise self.damaged(file, "its SHA-256 is not that of the manifest")

    def rows(self, file: ArchivedFile) -> Rows:
        """The rows of a file.

        Raises:
            DblogError: It is missing or damaged, or its rows are not those that were archived.
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

    def damaged(self, file: ArchivedFile, reason: str) -> DblogError:
        """The error that a file is damaged."""
        return DblogError(f"{self.store.location}/{file.path}: the archived file is damaged: {reason}")

    def _folder(self, day: date) -> str:
        return f"{self._table}/{_FOLDER}{day.isoformat()}"

    def _file(self, day: date, folder: str, name: str) -> ArchivedFile:
        path = f"{folder}/{name}"
        with self.store.reading(path) as source:
            manifest = Manifest.from_json(source.read(), f"{self.store.location}/{path}")
        return ArchivedFile(day, manifest, f"{folder}/{manifest.file}")


def digest_of(source: IO[bytes]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while piece := source.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _day_of(folder: str) -> date | None:
    """The day of a folder; None where it is another's."""
    try:
        return date.fromisoformat(folder.removeprefix(_FOLDER)) if folder.startswith(_FOLDER) else None
    except ValueError:
        return None

"""The rotated files of one live file, as they are on the disk: kept in memory, so that a rotation lists no folder."""

import errno
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Final

from dblog.files.rotated.backup import Backup, is_there, look_at
from dblog.files.rotated.names import PACKINGS, FileNames, Label, read_stamp

_WRONG_CLOCK: Final = timedelta(days=1)
"""A name that lies further ahead was given by a wrong clock; less is a clock that was set back, or the end of summer
time, and new names stay behind it so that their order remains that of the files."""


class Backups:
    """The rotated files, the oldest first; whoever changes anything holds the lock of the live file.

    Only regular files with names of our own are ever looked at; a folder or a link with such a name is left where it
    is and its name not used.

    Args:
        names: How they are named.
    """

    def __init__(self, names: FileNames) -> None:
        self.names = names
        self.leftovers: list[Path] = []
        """Hidden files that were found: of another process, or of one that a crash has stopped."""
        self.unfinished: Path | None = None
        """What a compression is writing."""
        self.unfinished_bytes = 0
        """What it has written so far."""
        self._files: OrderedDict[int, Backup] = OrderedDict()
        self._next = 0
        self._foreign: set[str] = set()
        self._bytes = 0
        self._newest: Label | None = None

    def __iter__(self) -> Iterator[Backup]:
        return iter(self._files.values())

    def __reversed__(self) -> Iterator[Backup]:
        return reversed(self._files.values())

    def __len__(self) -> int:
        return len(self._files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all rotated files and of what is unfinished."""
        return self._bytes + self.unfinished_bytes

    def path(self, backup: Backup) -> Path:
        """Where a rotated file is."""
        return self.names.folder / backup.name

    def scan(self, wall: datetime) -> None:
        """Look at the folder, however many files it has; a folder that is missing has none.

        Files of a former naming count as older than all of the present one, and so do those whose names lie in the
        future.

        Args:
            wall: What the clock on the wall shows.

        Raises:
            OSError: The folder could not be read.
        """
        found: list[Backup] = []
        self._foreign.clear()
        self.leftovers.clear()
        for path in _listed(self.names.folder):
            if self.names.is_unfinished(path.name):
                self.leftovers.append(path)
            if path == self.names.live or (label := self.names.recognise(path.name)) is None:
                continue
            if (backup := look_at(path, label)) is not None:
                found.append(backup)
            else:
                self._foreign.add(path.name)
        found.sort(key=lambda backup: self._age_rank(backup, wall))
        self._files = OrderedDict(enumerate(found))
        self._next = len(found)
        self._bytes = sum(backup.size for backup in found)
        newest = found[-1].label if found else None
        self._newest = newest if newest and newest.naming == self.names.naming else None

    def make_way(self, wall: datetime, named: datetime | None = None) -> Path:
        """Find a free path for the live file; with the naming `index`, rename the others upwards, the oldest first.

        A crash between two renames leaves a gap, which the next call fills: the order stays.

        Args:
            wall: What the clock on the wall shows.
            named: What the name should say, where that is another time; a name that was given, not more than a day
                ahead of `wall`, is never followed by an earlier one.

        Raises:
            OSError: A file could not be renamed.
        """
        if self.names.naming == "index":
            try:
                return self._shift()
            except FileExistsError:  # somebody has put a file there since we looked
                self.scan(wall)
                return self._shift()
        label = self._after_newest(self.names.label(named or wall), wall)
        while not self._is_free(label):
            label = replace(label, sequence=label.sequence + 1)
        return self.names.path(label)

    def add(self, path: Path) -> None:
        """Take a file that was just rotated as the newest, unless a hook has put it where it is not recognised."""
        label = self.names.recognise(path.name) if path.parent == self.names.folder else None
        if label and (backup := look_at(path, label)):
            self._files[self._next] = backup
            self._next += 1
            self._bytes += backup.size
            self._newest = label

    def remove(self, backup: Backup) -> int:
        """Delete a file; returns the bytes of it, 0 where somebody else has deleted or renamed it.

        Raises:
            OSError: It could not be deleted, and is still counted.
        """
        path, freed = self.path(backup), 0
        with suppress(FileNotFoundError):
            if path.lstat().st_ino == backup.inode:  # else another process has given the name to a younger file
                path.unlink()
                freed = backup.size
        self._forget(self._key_of(backup))
        return freed

    def give_up_unfinished(self) -> None:
        """Delete what a compression is writing: lines that come need its room.

        Raises:
            OSError: It could not be deleted.
        """
        if self.unfinished is not None:
            self.unfinished.unlink(missing_ok=True)
            self.unfinished, self.unfinished_bytes = None, 0

    def find(self, inode: int) -> Backup | None:
        """The file with that inode, whatever its name is by now."""
        return next((backup for backup in reversed(self) if backup.inode == inode), None)

    def exchange(self, old: Backup, new: Path) -> None:
        """Count the file at `new` in the place of `old`, which is gone from the disk.

        Raises:
            OSError: There is no such file.
        """
        label = self.names.recognise(new.name)
        backup = label and look_at(new, label)
        if not backup:
            raise FileNotFoundError(errno.ENOENT, "no rotated file of this log", str(new))
        self._files[self._key_of(old)] = backup
        self._bytes += backup.size - old.size

    def _shift(self) -> Path:
        slots: dict[int, list[int]] = {}
        for key, backup in self._files.items():
            if backup.label.naming == "index":
                slots.setdefault(backup.label.sequence, []).append(key)
        way: list[int] = []
        for index in count(1):
            if self._foreign and self._is_foreign(index):
                continue
            way.append(index)
            if index not in slots:
                break
        for source, target in reversed(list(pairwise(way))):
            for key in slots[source]:
                self._move(key, target)
        first = Label("index", "", way[0])
        if not self._is_free(first):
            raise FileExistsError(errno.EEXIST, "another file is in the way", str(self.names.path(first)))
        return self.names.path(first)

    def _move(self, key: int, index: int) -> None:
        backup = self._files[key]
        label = replace(backup.label, sequence=index)
        path = self.names.path(label)
        if is_there(path):
            raise FileExistsError(errno.EEXIST, "another file is in the way", str(path))
        try:
            self.path(backup).rename(path)
        except FileNotFoundError:  # somebody else has deleted it
            self._forget(key)
        else:
            self._files[key] = replace(backup, name=path.name, label=label)

    def _after_newest(self, label: Label, wall: datetime) -> Label:
        newest = self._newest
        if newest is None or len(newest.stamp) != len(label.stamp) or newest.stamp < label.stamp:
            return label
        if read_stamp(newest.stamp) - wall > _WRONG_CLOCK:
            return label
        return replace(newest, sequence=newest.sequence + 1, packing="")

    def _age_rank(self, backup: Backup, wall: datetime) -> tuple[bool, float, str, int]:
        label = backup.label
        ordered = label.naming == self.names.naming
        if ordered and label.stamp:
            ordered = read_stamp(label.stamp) - wall <= _WRONG_CLOCK
        return (ordered, 0.0 if ordered else backup.mtime, *label.rank)

    def _is_free(self, label: Label) -> bool:
        return not any(is_there(self.names.path(replace(label, packing=packing))) for packing in PACKINGS)

    def _is_foreign(self, index: int) -> bool:
        labels = (Label("index", "", index, packing) for packing in PACKINGS)
        return any(self.names.path(label).name in self._foreign for label in labels)

    def _key_of(self, backup: Backup) -> int:
        if next(iter(self._files.values()), None) is backup:  # nearly always it is the oldest one
            return next(iter(self._files))
        return next(key for key, each in self._files.items() if each == backup)

    def _forget(self, key: int) -> None:
        self._bytes -= self._files.pop(key).size


def _listed(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except FileNotFoundError:
        return

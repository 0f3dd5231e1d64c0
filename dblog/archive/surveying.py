"""What is known of an archive, file by file: what is damaged is told from what cannot be read now.

A store may go away while it is looked at. What was found until then stays known.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from dblog.archive.catalog import FIRST, LAST, Archive, ArchivedFile, in_order, is_manifest
from dblog.archive.problems import StoreError, Unusable
from dblog.archive.stores import clear_errors
from dblog.archive.unfinished import begun_in, lost_in


@dataclass(slots=True)
class Survey:
    """What is known of some days."""

    files: list[ArchivedFile] = field(default_factory=list)
    """Those that can be used, by time."""
    unusable: list[Unusable] = field(default_factory=list)
    """What is wrong with the others, with their manifests and with whole days."""
    begun: list[str] = field(default_factory=list)
    """What a run is writing, or was when it was cut short, below the root."""
    lost: list[str] = field(default_factory=list)
    """Files whose manifests were lost, below the root."""
    away: StoreError | None = None
    """Why nothing is known of the rest: the store cannot be read, or not any more."""


def survey(archive: Archive, first: date = FIRST, last: date = LAST) -> Survey:
    """Read all manifests of some days.

    Raises:
        DblogError: There is no archive.
    """
    found = Survey()
    try:
        archive.require()
        with clear_errors(archive.where):
            for day in archive.days(first, last):
                _read_day(archive, day, found)
    except StoreError as error:
        found.away = error
    found.files = in_order(found.files)
    return found


def check(archive: Archive, found: Survey, advance: Callable[[int], object]) -> None:
    """Compare the files with their manifests; those that are not as they say cannot be used.

    Args:
        archive: Of which the survey is.
        found: Is changed.
        advance: Told of the bytes of each file that was compared.
    """
    files, found.files = found.files, []
    if found.away:
        return
    try:
        for file in files:
            try:
                archive.check(file)
                found.files.append(file)
            except Unusable as error:
                _note(archive, file.day, error, found)
            advance(file.manifest.size)
    except StoreError as error:
        found.away = error


def _read_day(archive: Archive, day: date, found: Survey) -> None:
    folder = archive.folder_of(day)
    try:
        names = archive.names(day)
    except OSError as error:
        _note(archive, day, archive.unread(folder, "folder", error), found)
        return
    if not names:
        _look_again(archive)
    for name in filter(is_manifest, names):
        try:
            found.files.append(archive.file(day, name))
        except Unusable as error:
            _note(archive, day, error, found)
    found.begun += [f"{folder}/{name}" for name in begun_in(names)]
    found.lost += [f"{folder}/{name}" for name in lost_in(names)]


def _note(archive: Archive, day: date, error: Unusable, found: Survey) -> None:
    """Take down what is wrong, once it is sure that only a file is in trouble, or a folder, and not the store."""
    with suppress(OSError):  # the folder itself may be in trouble
        if archive.names(day):
            found.unusable.append(error)
            return
    _look_again(archive)
    found.unusable.append(error)


def _look_again(archive: Archive) -> None:
    if not archive.is_there():
        raise StoreError(
            f"archive {archive.where}: it went away while it was read: nothing is known of its other files"
        )

"""Adoption: whoever gets the lock of a dead writer's directory takes over what is in it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dblog.batch import BatchKey
from dblog.sinks.aside import Aside, file_name, refused_files
from dblog.sinks.frames import Header
from dblog.sinks.layout import UnknownLayout, claim, find
from dblog.sinks.lock import STATUS, DirectoryLock
from dblog.sinks.recovery import recover
from dblog.sinks.segments import Figures, Segment, Trouble

WRITER_ID: Final = re.compile(r"[0-9a-f]{32}")
_JOURNAL: Final = ".journal"
_FRAMES: Final = re.compile(r"[0-9]{8}\.(seg|journal)")


@dataclass(frozen=True, slots=True)
class Death:
    """A writer that ended without closing, and whose directory is now gone.

    There is none of a writer that left neither a status nor a batch.
    """

    writer_id: str
    """Its UUID, 32 hexadecimal digits."""
    status: Mapping[str, Any] | None
    """What it wrote to `status.json` last; None if there was nothing that can be read."""
    left: Figures
    """What it left to be delivered."""
    journaled: bool = False
    """True where it had a journal."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What one search for dead writers brought."""

    figures: Figures = Figures()  # noqa: RUF009 - immutable
    """What was taken over and waits now; `bytes` is 0 if there was nothing."""
    deaths: tuple[Death, ...] = ()
    """The writers that did not end in order."""


@dataclass(frozen=True, slots=True)
class Heir:
    """What the one that adopts does with what it finds."""

    home: Path
    """Its own directory."""
    header: Header
    """The header of its segments."""
    aside: Aside
    take: Callable[[Segment], None]
    """Moves a segment to the own directory, behind the others. Raises OSError."""
    waiting: Callable[[], Iterable[BatchKey]]
    """The keys of all that waits. Raises OSError."""
    today: Callable[[], str]
    report: Callable[[Trouble], None]


class Adoption:
    """Searches for dead writers.

    Args:
        directory: The directory that the writers share.
        heir: Who adopts.
    """

    def __init__(self, directory: Path, heir: Heir) -> None:
        self._directory = directory
        self._heir = heir
        self._reported: set[Path] = set()

    def adopt(self) -> Adopted:
        """Take over what one dead writer left, and remove its directory; empty ones in between are removed, too.

        Raises:
            OSError: The common directory could not be read.
        """
        taken: list[Segment] = []
        deaths: list[Death] = []
        for home in self._other_homes():
            try:
                self._adopt_from(home, taken, deaths)
            except PermissionError:  # another user's
                continue
            except OSError as error:
                self._heir.report(Trouble(home, f"could not be adopted: {error.strerror}", {}))
            if any(segment.waiting.bytes for segment in taken):
                break
        return Adopted(_sum(taken), tuple(deaths))

    def _other_homes(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        homes = (path for path in self._directory.iterdir() if WRITER_ID.fullmatch(path.name) and path.is_dir())
        return sorted(path for path in homes if path != self._heir.home)

    def _adopt_from(self, home: Path, taken: list[Segment], deaths: list[Death]) -> None:
        lock = DirectoryLock(home)
        if not lock.try_acquire():
            return
        before = len(taken)
        status = None
        journaled = False
        ours = True
        try:
            status = _read_status(home / STATUS)
            ours = status is None or status.get("target", self._heir.header.target) == self._heir.header.target
            if not ours:
                return
            for path in sorted(path for path in home.iterdir() if _FRAMES.fullmatch(path.name)):
                journaled = journaled or path.suffix == _JOURNAL
                segment = self._find(path)
                if segment is not None:
                    self._heir.take(segment)
                    taken.append(segment)
            self._take_refused(home)
        finally:
            removed = lock.release(remove=ours)
        left = _sum(taken[before:])
        if removed and (left.bytes if status is None else status.get("closed") is not True):
            deaths.append(Death(home.name, status, left, journaled))

    def _find(self, path: Path) -> Segment | None:
        try:
            if path.suffix == _JOURNAL and self._is_ours(path) and not recover(path, self._heir.today()):
                path.unlink()  # nothing was ever written to it
                return None
            return find(path, self._heir.header)
        except UnknownLayout as error:
            self._report_once(path, f"is left where it is: {error}")
        except OSError as error:
            self._report_once(path, f"could not be read: {error.strerror}")
        return None

    def _take_refused(self, home: Path) -> None:
        """Refused rows of a batch that waits wait with it; those of any other batch are final."""
        refused = {name: path for name, path in refused_files(home).items() if self._may_take(path)}
        waiting = {file_name(key) for key in self._heir.waiting()} if refused else set()
        for name, path in refused.items():
            if name in waiting:
                self._heir.aside.hold(path, name)
            else:
                self._heir.aside.move_in(path, name)

    def _may_take(self, path: Path) -> bool:
        try:
            return self._is_ours(path)
        except UnknownLayout as error:
            self._report_once(path, f"is left where it is: {error}")
        except OSError as error:
            self._report_once(path, f"could not be read: {error.strerror}")
        return False

    def _is_ours(self, path: Path) -> bool:
        with path.open("rb", buffering=0) as file:
            return claim(file.fileno(), self._heir.header) is not None

    def _report_once(self, path: Path, reason: str) -> None:
        if path not in self._reported:
            self._reported.add(path)
            self._heir.report(Trouble(path, reason, {}))


def _sum(segments: Iterable[Segment]) -> Figures:
    return sum((segment.waiting for segment in segments), Figures())


def _read_status(path: Path) -> Mapping[str, Any] | None:
    try:
        status = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):  # none, or not whole after a crash of the machine
        return None
    return status if isinstance(status, dict) else None

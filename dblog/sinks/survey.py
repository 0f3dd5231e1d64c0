"""A spool directory as it is found, without a part in it: nobody's lock is taken, nothing is written.

Writers may be alive and writing meanwhile, and files may be delivered, adopted and deleted between two looks: what
has gone when its turn comes is left out.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dblog.sinks.adoption import WRITER_ID
from dblog.sinks.inspection import Kind, SpoolFile, open_to_read
from dblog.sinks.lock import STATUS

_KINDS: Final[tuple[tuple[re.Pattern[str], Kind], ...]] = (
    (re.compile(r"\d{8}\.seg"), "segment"),
    (re.compile(r"\d{8}\.journal"), "journal"),
    (re.compile(r"refused-.+\.seg"), "refused"),
)
_SHARED: Final = ("rejected", "damaged")
"""What the writers of a spool share."""
_STATUS_MAX: Final = 1024 * 1024
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Status:
    """What a writer said about itself last."""

    process_id: int
    hostname: str
    program: str
    service: str | None
    place: str
    """Where its database is."""
    target: str
    """Which database, schema and tables its rows are for."""
    state: str
    started: datetime
    updated: datetime
    closed: bool
    last_error: str | None
    failing_since: datetime | None
    spool_error: str | None
    """What its spool could not do."""
    durability: str
    waiting: Mapping[int, int]
    """Records in its memory, by level number."""
    spooled: Mapping[int, int]
    rejected: Mapping[int, int]
    printed: Mapping[int, int]
    dropped: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer's directory."""

    writer_id: str
    home: Path
    alive: bool | None
    """Whether its lock is held; None where that cannot be seen."""
    status: Status | None
    """None where it has left none that can be understood."""
    files: tuple[SpoolFile, ...]
    """Segments in the order in which they were begun, then journals, whose rows segments may have, too."""
    problem: str | None = None
    """Why the directory cannot be looked into."""


def writers(directory: Path) -> list[Writer]:
    """The writers that have a directory of their own below `directory`; none where that is not there.

    Raises:
        OSError: It could not be read.
    """
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    return [found for home in paths if (found := writer(home)) is not None]


def why_no_spool(directory: Path) -> str | None:
    """What a directory is instead of a spool, and which path was meant; None where it may be one, or is not there.

    Raises:
        OSError: It could not be read.
    """
    try:
        names = {path.name for path in directory.iterdir() if not path.name.startswith(".")}  # hidden: being made
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return "is not a directory"
    above = directory.absolute().parent
    if WRITER_ID.fullmatch(directory.name):
        return f"is the directory of one writer: give {str(above)!r}"
    if directory.name in _SHARED and any(WRITER_ID.fullmatch(path.name) for path in above.iterdir()):
        return f"is a part of a spool: give {str(above)!r}"
    if not names or _is_spool(names):
        return None
    spools = [str(path) for name in sorted(names) if _holds_a_spool(path := directory / name)]
    if spools:
        return f"is no spool, but has some below it: give {' or '.join(map(repr, spools[:3]))}"
    return "is no spool: it holds other files, and no writer's directory"


def _is_spool(names: Iterable[str]) -> bool:
    return any(name in _SHARED or WRITER_ID.fullmatch(name) for name in names)


def _holds_a_spool(path: Path) -> bool:
    try:
        return path.is_dir() and _is_spool(each.name for each in path.iterdir())
    except OSError:  # another user's
        return False


def writer(home: Path) -> Writer | None:
    """What is known of the writer of a directory; None where it has gone, or is none."""
    if not WRITER_ID.fullmatch(home.name):
        return None
    try:
        alive = _is_locked(home / "lock")
        paths = sorted(home.iterdir())
        status = _read_status(home / STATUS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Writer(home.name, home, None, None, (), f"cannot be looked into: {error.strerror}")
    kinds = ((path, kind) for path in paths if (kind := _kind_of(path)) is not None)
    ordered = sorted(kinds, key=lambda found: found[1] == "journal")
    files = tuple(SpoolFile(path, kind, growing=alive and kind != "refused") for path, kind in ordered)
    return Writer(home.name, home, alive, status, files)


def file_at(path: Path) -> SpoolFile:
    """A file by its path, wherever it is.

    Raises:
        OSError: It could not be seen whether its writer lives.
    """
    kind = _kind_of(path) or "rejected"
    return SpoolFile(path, kind, growing=kind in ("segment", "journal") and _is_locked(path.parent / "lock"))


def rejected(directory: Path) -> list[SpoolFile]:
    """The files of rows that were set aside below `directory`, the oldest first; none where there is nothing.

    Raises:
        OSError: They could not be listed.
    """
    try:
        paths = sorted(path for path in (directory / "rejected").iterdir() if path.suffix == ".seg")
    except FileNotFoundError:
        return []
    return [SpoolFile(path, "rejected") for path in paths]


def _kind_of(path: Path) -> Kind | None:
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(path.name)), None)


def _is_locked(path: Path) -> bool:
    """Whether a process holds a lock, asked with a shared one that is given back at once.

    Others who look are not in the way of this. Whoever takes an exclusive lock at that very moment is told that it
    is held: only an adopter does so, which then comes back later; a starting process takes its lock where nobody looks.

    Raises:
        OSError: The file could not be opened; not where there is none.
    """
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _read_status(path: Path) -> Status | None:
    try:
        fields = json.loads(_read_all(path))
        return Status(
            process_id=int(fields["process_id"]),
            hostname=str(fields["hostname"]),
            program=str(fields["program"]),
            service=None if fields["service"] is None else str(fields["service"]),
            place=str(fields["place"]),
            target=str(fields["target"]),
            state=str(fields["state"]),
            started=_moment(fields["started"]),
            updated=_moment(fields["updated"]),
            closed=bool(fields["closed"]),
            last_error=None if fields["last_error"] is None else str(fields["last_error"]),
            spool_error=None if fields.get("spool_error") is None else str(fields["spool_error"]),
            failing_since=None if fields["failing_since"] is None else _moment(fields["failing_since"]),
            durability=str(fields["durability"]),
            waiting=_levels(fields["waiting"]),
            spooled=_levels(fields["spooled"]),
            rejected=_levels(fields["rejected"]),
            printed=_levels(fields["printed"]),
            dropped=_levels(fields["dropped"]),
        )
    except (FileNotFoundError, *_MALFORMED):
        return None


def _read_all(path: Path) -> bytes:
    fd = open_to_read(path)
    try:
        return os.read(fd, _STATUS_MAX)
    finally:
        os.close(fd)


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


def _levels(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(level): int(count) for level, count in counts.items()}

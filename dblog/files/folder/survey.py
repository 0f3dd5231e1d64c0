"""What lies in a folder of log files: which are logs, which were rotated from them, and what compression saved.

A log is a file whose name ends in `.log` or `.jsonl`, or one that is named. Whatever else is in the folder belongs to
somebody else, however similar its name.
"""

import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dblog.files.folder.unpacked import unpacked_size
from dblog.files.rotated.names import PACKINGS, FileNames

SUFFIXES: Final = (".log", ".jsonl")
"""How the names of logs end that need not be named."""

Kind = Literal["live", "rotated", "gzip", "zstd", "unfinished"]
KINDS: Final[tuple[Kind, ...]] = ("live", "rotated", "gzip", "zstd", "unfinished")

_PACKED: Final[dict[str, Kind]] = {"": "rotated", ".gz": "gzip", ".zst": "zstd"}
_ORIGINS: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(.+)\.\d{8}_\d{6}(?:_\d+)?(\.[^.]+)?",
        r"(.+)\.\d{4}-\d{2}-\d{2}(?:_\d{2}(?:-\d{2}){0,2})?(?:\.\d+)?()",
        r"(.+)\.\d{1,7}()",
        r"\.(.+)\.(?:\d+\.(?:gz|zst)|copying|copied)\.tmp()",
    )
)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log.

    Attributes:
        path: Where it is.
        kind: What it is.
        bytes: Bytes on the disk.
        modified: When it was written last, in seconds since 1970.
        saved: Bytes that compression saved; 0 where nothing is compressed, or where the file does not tell.
    """

    path: Path
    kind: Kind
    bytes: int
    modified: float
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """A log: its live file, and what was rotated from it."""

    live: Path
    files: tuple[LogFile, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def saved(self) -> int:
        """Bytes that compression saved."""
        return sum(file.saved for file in self.files)

    def of(self, *kinds: Kind) -> list[LogFile]:
        """The files of these kinds."""
        return [file for file in self.files if file.kind in kinds]


def find_logs(folder: Path, names: Sequence[str] = ()) -> tuple[Log, ...]:
    """The logs of a folder, by name.

    Args:
        folder: Where to look; not in the folders below it.
        names: The names of live files, also of such as are gone by now; none for all whose names end in `SUFFIXES`.

    Raises:
        OSError: The folder or one of its files could not be read.
    """
    found: dict[str, list[LogFile]] = defaultdict(list)
    for path in folder.iterdir():
        owner = next(_owners(path, names), None)
        if owner is not None and (file := _look_at(path, owner)) is not None:
            found[owner].append(file)
    return tuple(Log(folder / name, _in_order(files)) for name, files in sorted(found.items()))


def why_missing(folder: Path, names: Sequence[str], logs: Sequence[Log]) -> str | None:
    """Why names lead to no log, in words; None where each of them is one of `logs`.

    Raises:
        OSError: The folder or one of its files could not be read.
    """
    missing = [name for name in names if name not in {log.live.name for log in logs}]
    if not missing:
        return None
    there = ", ".join(log.live.name for log in find_logs(folder)) or "none"
    return f"{folder} has no log named {' or '.join(map(repr, missing))}; it has {there}"


def largest(logs: Iterable[Log]) -> LogFile | None:
    """The largest file of all logs."""
    return max((file for log in logs for file in log.files), key=lambda file: file.bytes, default=None)


def _owners(path: Path, names: Sequence[str]) -> Iterator[str]:
    """The live file to which a file belongs, which may be itself."""
    packing = next((each for each in PACKINGS if each and path.name.endswith(each)), "")
    plain = path.name.removesuffix(packing)
    for pattern in _ORIGINS:
        for name in (path.name, plain) if packing else (plain,):
            if match := pattern.fullmatch(name):
                origin = match[1] + (match[2] or "")
                if _is_log(origin, names) and _belongs(path, origin):
                    yield origin
    if _is_log(path.name, names):
        yield path.name


def _is_log(name: str, names: Sequence[str]) -> bool:
    return name in names if names else name.endswith(SUFFIXES) and not name.startswith(".")


def _belongs(path: Path, live: str) -> bool:
    names = FileNames(path.with_name(live), "index")
    return names.recognise(path.name) is not None or names.is_unfinished(path.name)


def _look_at(path: Path, owner: str) -> LogFile | None:
    """What is known of a regular file; None for folders, links and what is gone."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return None
        kind = _kind(path, owner)
        packed = kind in ("gzip", "zstd")
        saved = max(0, (unpacked_size(path) or found.st_size) - found.st_size) if packed else 0
    except FileNotFoundError:
        return None
    return LogFile(path, kind, found.st_size, found.st_mtime, saved)


def _kind(path: Path, owner: str) -> Kind:
    if path.name == owner:
        return "live"
    label = FileNames(path.with_name(owner), "index").recognise(path.name)
    return "unfinished" if label is None else _PACKED[label.packing]


def _in_order(files: list[LogFile]) -> tuple[LogFile, ...]:
    """The live file first, then the others, the youngest first."""
    return tuple(sorted(files, key=lambda file: (KINDS.index(file.kind) > 0, -file.modified, file.path.name)))

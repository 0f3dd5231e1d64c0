"""The names of rotated files: how they are made, and which names in a folder are ours.

Nothing here touches a disk. A name is ours where this module could have made it for the same live file, by any
naming, so that a change of `naming` leaves no orphans; everything else, however similar, belongs to somebody else.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dblog.durable import UNFINISHED

if TYPE_CHECKING:
    from dblog.files.settings import Naming

PACKINGS: Final = ("", ".gz", ".zst")
"""How the names of plain and compressed files end."""

STAMP: Final = "%Y%m%d_%H%M%S"
DATES: Final = {"S": "%Y-%m-%d_%H-%M-%S", "M": "%Y-%m-%d_%H-%M", "H": "%Y-%m-%d_%H", "HOURLY": "%Y-%m-%d_%H"}
"""What a rotation by time puts behind the name, by its unit, as the standard library does; else `DAY`."""
DAY: Final = "%Y-%m-%d"

PROBE: Final = ".probe" + UNFINISHED
"""How the name of a file ends that tests whether a disk can be written."""

_PACKED: Final = r"(\.gz|\.zst)?"
_STAMP: Final = r"(\d{8}_\d{6})(?:_([1-9]\d*))?"
_DATE: Final = r"(\d{4}-\d{2}-\d{2}(?:_\d{2}(?:-\d{2}(?:-\d{2})?)?)?)(?:\.([1-9]\d*))?"
_INDEX: Final = r"([1-9]\d{0,6})"  # at most seven digits: eight are a date that somebody else has put there


@dataclass(frozen=True, slots=True)
class Label:
    """What the name of a rotated file says.

    Attributes:
        naming: How it was named.
        stamp: The time in the name as it stands there; empty for an index.
        sequence: The index; else 0, or the number that tells files of the same time apart.
        packing: `.gz`, `.zst` or nothing.
    """

    naming: "Naming"
    stamp: str
    sequence: int
    packing: str = ""

    @property
    def rank(self) -> tuple[str, int]:
        """Sorts the files of one naming, the oldest first."""
        return ("", -self.sequence) if self.naming == "index" else (self.stamp, self.sequence)


def read_stamp(stamp: str) -> datetime:
    """The time that a stamp or date of a name means, without a zone.

    Raises:
        ValueError: There is no such time.
    """
    digits = stamp.replace("-", "").replace("_", "")
    year, rest = int(digits[:4]), [int(digits[i : i + 2]) for i in range(4, len(digits), 2)]
    return datetime(year, *rest)  # type: ignore[arg-type] # noqa: DTZ001 - the name does not say which zone


class FileNames:
    """The names of the rotated files of one live file.

    Args:
        live: The live file.
        naming: How files are named that are rotated from now on.
        date_format: What stands behind the name with the naming `date`; one of the values of `DATES`, or `DAY`.
        namer: The hook of the standard library: takes the usual path and gives the one that is used.

    Attributes:
        folder: Where rotated files are looked for.
    """

    def __init__(
        self, live: Path, naming: "Naming", *, date_format: str = DAY, namer: Callable[[str], str] | None = None
    ) -> None:
        self.live = live
        self.naming = naming
        self.date_format = date_format
        self._namer = namer
        stem, name, suffix = re.escape(live.stem), re.escape(live.name), re.escape(live.suffix)
        self._patterns: Final[tuple[tuple[Naming, re.Pattern[str]], ...]] = (
            ("index", re.compile(rf"{name}\.{_INDEX}{_PACKED}", re.ASCII)),
            ("timestamp", re.compile(rf"{stem}\.{_STAMP}{suffix}{_PACKED}", re.ASCII)),
            ("date", re.compile(rf"{name}\.{_DATE}{_PACKED}", re.ASCII)),
        )
        self.folder = self.path(Label("index", "", 1)).parent
        self._unfinished = re.compile(rf"\.{name}\.\d+\.(?:gz|zst|probe){re.escape(UNFINISHED)}", re.ASCII)

    def label(self, when: datetime, sequence: int = 0) -> Label:
        """The label of a file of the time `when`, not with the naming `index`; `sequence` tells it from others."""
        form = STAMP if self.naming == "timestamp" else self.date_format
        return Label(self.naming, when.strftime(form), sequence)

    def path(self, label: Label) -> Path:
        """The path of a file with that label."""
        usual = self.live.with_name(self._usual(label))
        named = Path(self._namer(str(usual))) if self._namer else usual
        return named.with_name(named.name + label.packing) if label.packing else named

    def recognise(self, filename: str) -> Label | None:
        """What the name of a file in `folder` says, where it is one of ours; else None."""
        return (self._renamed(filename) if self._namer else None) or self._plain(filename)

    def is_unfinished(self, filename: str) -> bool:
        """True for the name of a file that a compression, or a test of the disk, has not finished."""
        return self._unfinished.fullmatch(filename) is not None

    def unfinished(self, what: str) -> Path:
        """The hidden path, beside the rotated files, of something that is being written.

        Args:
            what: `copying`, `copied`, or the number of the source's inode and the packing, as in `4711.gz`.
        """
        return self.folder / f".{self.live.name}.{what}{UNFINISHED}"

    def _usual(self, label: Label) -> str:
        if label.naming == "index":
            return f"{self.live.name}.{label.sequence}"
        if label.naming == "timestamp":
            number = f"_{label.sequence}" if label.sequence else ""
            return f"{self.live.stem}.{label.stamp}{number}{self.live.suffix}"
        return f"{self.live.name}.{label.stamp}" + (f".{label.sequence}" if label.sequence else "")

    def _plain(self, filename: str) -> Label | None:
        for naming, pattern in self._patterns:
            if match := pattern.fullmatch(filename):
                *stamp, sequence, packing = match.groups()
                label = Label(naming, stamp[0] if stamp else "", int(sequence or 0), packing or "")
                return label if _exists(label) else None
        return None

    def _renamed(self, filename: str) -> Label | None:
        """Look for what the namer was given: each number and time in the name is tried on it."""
        for label in _labels_in(filename):
            for packing in PACKINGS:
                packed = Label(label.naming, label.stamp, label.sequence, packing)
                if self.path(packed).name == filename:
                    return packed
        return None


def _exists(label: Label) -> bool:
    """False for digits that are no time, as in 20261399_000000."""
    try:
        return label.naming == "index" or bool(read_stamp(label.stamp))
    except ValueError:
        return False


def _labels_in(filename: str) -> Iterator[Label]:
    searches: tuple[tuple[Naming, str], ...] = (("timestamp", _STAMP), ("date", _DATE), ("index", _INDEX))
    for naming, pattern in searches:
        for match in re.finditer(rf"(?<!\d){pattern}(?!\d)", filename, re.ASCII):
            *stamp, sequence = match.groups()
            label = Label(naming, stamp[0] if stamp else "", int(sequence or 0))
            if _exists(label):
                yield label

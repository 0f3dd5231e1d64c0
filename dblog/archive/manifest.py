"""What a file of the archive has to say of itself: a JSON document beside it, written when it was read back."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

from dblog.archive.installation import Installation

VERSION: Final = 2
"""The version of the manifest: raised when an older release could misunderstand it."""
WITHOUT_INSTALLATION: Final = 1
"""The version that does not say whose the rows are."""


class ArchivedColumn(NamedTuple):
    """A column as the table had it: its name and its PostgreSQL type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file of the archive: the records of one UTC day, or of a part of it, by time and id."""

    file: str
    """The name of the file, in the same folder."""
    format: str
    partition: str
    """The partition that the rows were in."""
    rows: int
    time_from: datetime
    """The smallest timestamp."""
    time_to: datetime
    """The largest timestamp."""
    size: int
    """Bytes of the file."""
    sha256: str
    """Of the file, in hexadecimal digits."""
    rows_sha256: str
    """Of the rows, as the server sent them and as it gets them back: the bytes of a COPY in the form of the format."""
    schema_revision: str
    """The revision of the tables."""
    columns: tuple[ArchivedColumn, ...]
    written_at: datetime
    written_by: str
    """The release of dblog."""
    installation: Installation | None
    """Whose rows they are; None where the manifest does not say."""

    @property
    def name(self) -> str:
        """The name of the manifest; engines that read a folder of files pass over names that begin so."""
        return f"_{self.file}.json"

    def overlaps(self, first: datetime, last: datetime) -> bool:
        """Whether it may have rows between two moments, both included."""
        return self.time_from <= last and first <= self.time_to

    def to_json(self) -> bytes:
        """The document."""
        fields = asdict(self) | {
            "columns": dict(self.columns),
            **{name: getattr(self, name).isoformat() for name in _MOMENTS},
        }
        return json.dumps({"manifest": VERSION, **fields}, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, document: bytes) -> Self:
        """Understand a document.

        Raises:
            ValueError: It is none, or of a later version.
        """
        try:
            fields: dict[str, Any] = json.loads(document)
            version = fields.pop("manifest")
            if version in (WITHOUT_INSTALLATION, VERSION):
                return cls(**fields | cls._understood(fields))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise ValueError("the manifest is damaged") from None
        raise ValueError(
            f"version {version!r} of the manifest; this release reads {WITHOUT_INSTALLATION} and {VERSION}"
        )

    @staticmethod
    def _understood(fields: dict[str, Any]) -> dict[str, Any]:
        if not all(isinstance(fields[name], kind) for name, kind in _KINDS.items()) or not fields["columns"]:
            raise TypeError
        origin = fields.get("installation")
        return {
            **{name: datetime.fromisoformat(fields[name]).astimezone(UTC) for name in _MOMENTS},
            "columns": tuple(ArchivedColumn(name, kind) for name, kind in fields["columns"].items()),
            "installation": None if origin is None else Installation.from_json(origin),
        }


_KINDS: Final = {"file": str, "format": str, "partition": str, "rows": int, "size": int, "sha256": str}
_MOMENTS: Final = ("time_from", "time_to", "written_at")

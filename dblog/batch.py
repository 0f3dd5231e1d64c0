"""A batch: the unit of delivery, immutable and numbered from the moment it is formed."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid5

from dblog.columns import COLUMN_NAMES


@dataclass(frozen=True, slots=True)
class BatchKey:
    """What makes a batch unique for ever: the ledger in the database knows it by this key."""

    birth_day: str
    """The UTC day on which the batch was formed, `YYYY-MM-DD`."""
    writer_id: str
    """The writer's UUID, 32 hexadecimal digits."""
    seq: int
    """The number of the batch, from 1."""


def derived_writer(writer_id: UUID, seq: int) -> UUID:
    """The writer under which rows of a batch that were set aside are sent again; its UUID has version 5."""
    return uuid5(writer_id, str(seq))


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoded rows with their key and the figures that the ledger records."""

    key: BatchKey
    payload: bytes
    """Rows in COPY text format; each begins with the writer and the number of the batch and ends with a newline."""
    levels: Mapping[int, int]
    """Rows by level number."""
    time_from: str | None
    """The smallest timestamp among the rows, as PostgreSQL reads it; None for a batch without rows."""
    time_to: str | None
    """The largest timestamp among the rows."""
    accepted: int
    """Records that the writer had accepted when the batch was formed."""
    closing: bool = False
    """True for the last batch of a writer that ends cleanly."""
    columns: tuple[str, ...] = COLUMN_NAMES
    """What the fields of a row are: another release may have had others."""
    reason: str | None = None
    """Why the rows were set aside before; None for rows on their way."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.levels.values())


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that PostgreSQL refused, with the reason."""

    row: bytes
    reason: str

"""A writer with what it holds back on the disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dblog.sinks import inspection
from dblog.sinks.inspection import BatchName, Contents
from dblog.sinks.survey import Writer

SILENCE: Final = timedelta(minutes=1)
"""How long a writer whose records wait may say nothing new."""
FAILING: Final = ("retrying", "circuit open")
"""The states of a writer whose database does not take records."""


@dataclass(frozen=True, slots=True)
class Held:
    """A writer and what it holds back on the disk."""

    writer: Writer
    rows: int
    bytes: int
    oldest: datetime | None
    damages: int
    unread: tuple[str, ...]
    """Files that could not be read, with the reason."""
    targets: frozenset[str]
    """What it writes to, and what the rows that it left are for."""
    silent: bool
    """True where it lives and records wait, but it has not been heard of for a minute: a healthy one would deliver."""

    @property
    def state(self) -> str:
        """How the writer is, in a word or two."""
        status = self.writer.status
        if self.writer.problem is not None:
            return "unknown"
        if self.writer.alive:
            return status.state if status is not None else "starting"
        return "closed" if status is not None and status.closed else "dead"

    @property
    def in_trouble(self) -> bool:
        """True where something is held back that does not come by itself, or not now."""
        if self.writer.problem is not None or self.unread:
            return True
        if self.writer.alive:
            status = self.writer.status
            errors = (status.last_error, status.spool_error) if status is not None else ()
            return self.silent or any(errors) or (status is not None and status.state in FAILING)
        return self.rows > 0 or self.damages > 0


def look(writer: Writer, now: datetime) -> Held:
    """Sum up what is in the files of a writer."""
    rows = size = damages = 0
    unread: list[str] = []
    oldest: list[datetime] = []
    targets = {writer.status.target} if writer.status is not None else set()
    seen: set[BatchName] = set()
    for file in writer.files:
        if file.kind == "refused" or (file.kind == "journal" and writer.alive):
            continue  # rows that are counted elsewhere: those of a living journal are in memory, too
        try:
            found = inspection.examine(file, seen)
        except FileNotFoundError:  # delivered in the meantime
            continue
        except OSError as error:
            unread.append(f"{file.path.name} cannot be read: {error.strerror}")
            continue
        targets.update([found.header.target] if found.header is not None and found.rows else [])
        rows, size, damages = rows + found.rows, size + found.bytes, damages + len(found.damages)
        oldest.extend(_moment(found))
    status = writer.status
    overdue = status is not None and any(status.waiting.values()) and now - status.updated > SILENCE
    silent = bool(writer.alive and overdue)
    return Held(writer, rows, size, min(oldest, default=None), damages, tuple(unread), frozenset(targets), silent)


def _moment(found: Contents) -> Iterator[datetime]:
    try:
        if found.oldest is not None:
            yield datetime.fromisoformat(found.oldest)
    except ValueError:
        return

"""Archived rows, back in the table: each of them once, however often they are restored."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.interfaces import names_of
from dblog.archive.staging import STAGED, make_stage, stage
from dblog.archive.stores import clear_errors
from dblog.store.beyond import ensure_partition
from dblog.store.engine import verbatim
from dblog.store.horizons import holds_of, record_hold
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions, server_now
from dblog.store.schema import settings_table


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of an archived file."""

    day: date
    file: str
    """Below the root of the archive."""
    rows: int
    restored: int
    """Those of its rows that were not in the table."""


def restore(
    connection: sa.Connection, names: Names, archive: Archive, files: Iterable[ArchivedFile], *, keep_days: int
) -> Iterator[Restored]:
    """Bring the rows of files back, one file after the other, all of its rows or none.

    Rows that are in the table already, by time and id, stay as they are. So whoever was cut short begins anew.

    Args:
        connection: Of the owner of the tables, in no transaction. A pooler may give each transaction another session.
        names: The tables.
        archive: Where the files are.
        files: Those that were found to be whole. Of two with the same row, the one that was written later counts.
        keep_days: How long the retention leaves the partitions alone that got rows, now or by an earlier restore whose
            hold was not forgotten yet.

    Raises:
        DblogError: A file is missing or damaged, or has columns that the table lacks; nothing of it is restored.
    """
    for file in sorted(files, key=lambda file: (file.day, -file.manifest.written_at.timestamp())):
        with clear_errors(archive.where):
            came = _bring_back(connection, names, archive, file, keep_days)
        yield Restored(file.day, file.path, file.manifest.rows, came)


def _bring_back(connection: sa.Connection, names: Names, archive: Archive, file: ArchivedFile, keep_days: int) -> int:
    """Insert what the table lacks of a file, once the partitions for it are there and held. Returns how many rows."""
    with connection.begin():
        until = server_now(connection) + timedelta(days=keep_days)
        known = list_partitions(connection, names)
    _renew_holds(connection, names, known, file, until)
    ready = set[str]()
    needed = _surely_needed(known, file)
    while True:
        for moment in needed:
            part = ensure_partition(connection, names, moment, "day")
            with connection.begin():  # by itself, and before: the retention looks at it
                record_hold(connection, names, part.name, until)
            ready.add(part.name)
        with connection.begin() as work:
            make_stage(connection, names.qualified(names.logs))
            stage(connection, archive, file)
            needed = _needed(connection, names, file, ready)
            if not needed:
                came = connection.execute(verbatim(_insert(names, file))).rowcount if ready else 0
                if came:
                    _note(connection, names, file.day)
                return came
            work.rollback()  # what is made and held has to be committed before rows are put there


def _surely_needed(known: Sequence[Partition], file: ArchivedFile) -> list[datetime]:
    """The moment of the first row, where nothing can hold it: mostly, a whole day is gone, and so is staged once."""
    first = file.manifest.time_from
    is_there = any(part.table == "logs" and (part.default or part.holds(first)) for part in known)
    return [] if is_there else [first]


def _needed(connection: sa.Connection, names: Names, file: ArchivedFile, ready: Collection[str]) -> list[datetime]:
    """A moment in each partition that rows have to go into and that is not ready for them."""
    known = [part for part in list_partitions(connection, names) if part.table == "logs"]
    found = []
    moment = _first_lacking(connection, names, file, "true")
    while moment is not None:
        part = next((part for part in known if part.holds(moment)), None)
        if part is None or part.name not in ready:
            found.append(moment)
        moment = _first_lacking(connection, names, file, _beyond(part, moment))
    return found


def _beyond(part: Partition | None, moment: datetime) -> str:
    """The condition that a row comes after a partition; where there is none for a moment, it will have its hour."""
    if part is None:
        return f"held.\"timestamp\" >= date_trunc('hour', TIMESTAMPTZ '{moment.isoformat()}') + interval '1 hour'"
    return "false" if part.end is None else f"held.\"timestamp\" >= '{part.end.isoformat()}'"


def _first_lacking(connection: sa.Connection, names: Names, file: ArchivedFile, condition: str) -> datetime | None:
    statement = f'SELECT min(held."timestamp") FROM {_lacking(names, file)} AND {condition}'
    found: datetime | None = connection.scalar(verbatim(statement))
    return found


def _renew_holds(
    connection: sa.Connection, names: Names, known: Sequence[Partition], file: ArchivedFile, until: datetime
) -> None:
    """Hold what an earlier restore holds, also where that is over, although nothing more may come into it."""
    with connection.begin():
        held = holds_of(connection, names)
    for part in known:
        begins_before = part.start is None or part.start <= file.manifest.time_to
        ends_after = part.end is None or part.end > file.manifest.time_from
        if part.name in held and begins_before and ends_after:
            with connection.begin():  # each by itself: a prune may be removing several that are over
                record_hold(connection, names, part.name, until)


def _lacking(names: Names, file: ArchivedFile) -> str:
    """The rows that the table has not, by time and id."""
    first, last = file.manifest.time_from.isoformat(), file.manifest.time_to.isoformat()
    return (
        f"{STAGED} AS held WHERE NOT EXISTS (SELECT FROM {names.qualified(names.logs)} AS mine "
        f'WHERE held."timestamp" = mine."timestamp" AND held.id = mine.id '
        f"AND mine.\"timestamp\" BETWEEN '{first}' AND '{last}')"
    )


def _insert(names: Names, file: ArchivedFile) -> str:
    columns = names_of(file.manifest.columns).as_string(None)
    return (
        f"INSERT INTO {names.qualified(names.logs)} ({columns}) SELECT {columns} FROM {_lacking(names, file)} "
        'ORDER BY "timestamp", id ON CONFLICT ("timestamp", id) DO NOTHING'
    )


def _note(connection: sa.Connection, names: Names, day: date) -> None:
    """Tell whoever compares rows with the ledger that those of a day may have come back without their batches."""
    now = datetime.now(UTC).isoformat()
    new = insert(settings_table(names)).values(name=f"restored {day.isoformat()}", value=now)
    connection.execute(new.on_conflict_do_nothing())

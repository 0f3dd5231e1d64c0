"""Archived rows, back in the table: each of them once, however often they are restored."""

from collections.abc import Iterable, Iterator
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
from dblog.store.partitions import list_partitions, server_now
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
        connection: Of the owner of the tables, in no transaction. For each file a second one is opened, with one
            transaction: so a pooler may give each transaction another session.
        names: The tables.
        archive: Where the files are.
        files: Those that were found to be whole. Of two with the same row, the one that was written later counts.
        keep_days: How long the retention leaves the partitions alone that got rows, now or by an earlier restore whose
            hold was not forgotten yet.

    Raises:
        DblogError: A file is missing or damaged, or has columns that the table lacks; nothing of it is restored.
    """
    for file in sorted(files, key=lambda file: (file.day, -file.manifest.written_at.timestamp())):
        with clear_errors(archive.where), connection.engine.connect() as own, own.begin():
            came = _bring_back(connection, own, names, archive, file, keep_days)
        yield Restored(file.day, file.path, file.manifest.rows, came)


def _bring_back(
    connection: sa.Connection, own: sa.Connection, names: Names, archive: Archive, file: ArchivedFile, keep_days: int
) -> int:
    """Insert what the table lacks of a file; the partitions for it are there and held before. Returns how many rows."""
    make_stage(own, names.qualified(names.logs))
    stage(own, archive, file)
    with connection.begin():
        until = server_now(connection) + timedelta(days=keep_days)
    _renew_holds(connection, names, file, until)
    if not _make_room(connection, own, names, file, until):
        return 0
    came = own.execute(verbatim(_insert(names, file))).rowcount
    if came:
        _note(own, names, file.day)
    return came


def _make_room(
    connection: sa.Connection, own: sa.Connection, names: Names, file: ArchivedFile, until: datetime
) -> bool:
    """Make the partitions of all rows that the table lacks where they are missing, and hold them; whether there are."""
    first = moment = _first_lacking(own, names, file, "true")
    while moment is not None:
        part = ensure_partition(connection, names, moment, "day")
        with connection.begin():
            record_hold(connection, names, part.name, until)
        after = part.end and f"held.\"timestamp\" >= '{part.end.isoformat()}'"
        moment = _first_lacking(own, names, file, after) if after else None
    return first is not None


def _first_lacking(own: sa.Connection, names: Names, file: ArchivedFile, condition: str) -> datetime | None:
    with own.begin_nested() as look:
        statement = f'SELECT min(held."timestamp") FROM {_lacking(names, file)} AND {condition}'
        found: datetime | None = own.scalar(verbatim(statement))
        look.rollback()  # lets go of the locks: a DEFAULT partition would not let another be attached
    return found


def _renew_holds(connection: sa.Connection, names: Names, file: ArchivedFile, until: datetime) -> None:
    """Hold what an earlier restore holds, also where that is over, although nothing more may come into it."""
    with connection.begin():
        held, known = holds_of(connection, names), list_partitions(connection, names)
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

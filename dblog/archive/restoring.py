"""Archived rows, back in the table: each of them once, however often they are restored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.interfaces import names_of
from dblog.archive.places import make_room
from dblog.archive.staging import STAGED, make_stage, stage
from dblog.archive.stores import clear_errors
from dblog.store.engine import verbatim
from dblog.store.horizons import record_hold
from dblog.store.names import Names
from dblog.store.partitions import server_now
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
    """Bring the rows of files back, one file after the other, each in a transaction of its own.

    Rows that are in the table already, by time and id, stay as they are. So whoever was cut short begins anew.

    Args:
        connection: Of the owner of the tables, in no transaction.
        names: The tables.
        archive: Where the files are.
        files: Those that were found to be whole. Of two with the same row, the one that was written later counts.
        keep_days: How long the retention leaves the partitions alone that have the rows.

    Raises:
        DblogError: A file is missing or damaged, or has columns that the table lacks; nothing of it is restored.
    """
    for file in sorted(files, key=lambda file: (file.day, -file.manifest.written_at.timestamp())):
        with clear_errors(archive.where):
            manifest = file.manifest
            for part in make_room(connection, names, manifest.time_from, manifest.time_to):
                _hold(connection, names, part.name, keep_days)
            with connection.begin():
                _note(connection, names, file.day)
                make_stage(connection, names.qualified(names.logs))
                stage(connection, archive, file)
                came = connection.execute(verbatim(_insert(names, file))).rowcount
        yield Restored(file.day, file.path, manifest.rows, came)


def _insert(names: Names, file: ArchivedFile) -> str:
    columns = names_of(file.manifest.columns).as_string(None)
    return (
        f"INSERT INTO {names.qualified(names.logs)} ({columns}) SELECT {columns} FROM {STAGED} "
        'ORDER BY "timestamp", id ON CONFLICT ("timestamp", id) DO NOTHING'
    )


def _hold(connection: sa.Connection, names: Names, partition: str, days: int) -> None:
    with connection.begin():
        record_hold(connection, names, partition, server_now(connection) + timedelta(days=days))


def _note(connection: sa.Connection, names: Names, day: date) -> None:
    """Tell whoever compares rows with the ledger that those of a day may have come back without their batches."""
    now = datetime.now(UTC).isoformat()
    new = insert(settings_table(names)).values(name=f"restored {day.isoformat()}", value=now)
    connection.execute(new.on_conflict_do_nothing())

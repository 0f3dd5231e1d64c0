"""What the retention has removed on purpose, as the database itself remembers it: nobody need take it for a loss."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dblog.store.names import Names, Table
from dblog.store.schema import settings_table

_SETTINGS: Final[dict[Table, str]] = {"logs": "pruned_before", "batches": "ledger_pruned_before"}


@dataclass(frozen=True, slots=True)
class Horizons:
    """The moments before which partitions were dropped; None where none was."""

    logs: datetime | None
    """Rows with an earlier `timestamp` may be gone."""
    batches: datetime | None
    """Batches with an earlier `birth_day` may be gone from the ledger."""


def horizons_of(connection: sa.Connection, names: Names) -> Horizons:
    """Read what the retention has recorded."""
    table = settings_table(names)
    statement = sa.select(table.c.name, table.c.value).where(table.c.name.in_(_SETTINGS.values()))
    stored = {row.name: datetime.fromisoformat(row.value) for row in connection.execute(statement)}
    return Horizons(stored.get(_SETTINGS["logs"]), stored.get(_SETTINGS["batches"]))


def record_horizon(connection: sa.Connection, names: Names, table: Table, end: datetime) -> None:
    """Note that what lies before `end` is about to go from one of the tables; a later horizon stays.

    It has to be committed before anything goes: a horizon without a drop hides little, and only what has expired; a
    drop without its horizon would look like a loss for ever.
    """
    settings = settings_table(names)
    new = insert(settings).values(name=_SETTINGS[table], value=end.astimezone(UTC).isoformat())
    moment = sa.TIMESTAMP(timezone=True)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[settings.c.name],
            set_={"value": new.excluded.value},
            where=sa.cast(settings.c.value, moment) < sa.cast(new.excluded.value, moment),
        )
    )

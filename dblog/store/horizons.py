"""What the retention has to remember, in the settings of the database: what it removed on purpose, and what may stay.

Nobody need take what it removed for a loss, and nothing has to be looked for twice.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dblog.store.names import Names, Table
from dblog.store.schema import settings_table

_SETTINGS: Final[dict[Table, str]] = {"logs": "pruned_before", "batches": "ledger_pruned_before"}
_SEEN: Final = "retention_seen"
_HOLD: Final = "hold "
_THINNED: Final = "thinned "


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
    _put_later(connection, names, _SETTINGS[table], end)


def last_seen(connection: sa.Connection, names: Names) -> datetime | None:
    """When the retention ran last, by the clock of the server; None where it never did."""
    table = settings_table(names)
    found = connection.scalar(sa.select(table.c.value).where(table.c.name == _SEEN))
    return None if found is None else datetime.fromisoformat(found)


def record_seen(connection: sa.Connection, names: Names, now: datetime) -> None:
    """Note that the retention ran, and that it believed the clock."""
    _put(connection, names, _SEEN, now.astimezone(UTC).isoformat())


def holds_of(connection: sa.Connection, names: Names) -> dict[str, datetime]:
    """The partitions that the retention leaves alone, each with the moment until which it does."""
    return {name: datetime.fromisoformat(value) for name, value in _with_prefix(connection, names, _HOLD).items()}


def record_hold(connection: sa.Connection, names: Names, partition: str, until: datetime) -> None:
    """Have the retention leave a partition alone; a longer hold stays."""
    _put_later(connection, names, _HOLD + partition, until)


def thinned_of(connection: sa.Connection, names: Names) -> dict[str, str]:
    """What was noted of the partitions from which rows were deleted, or would have been."""
    return _with_prefix(connection, names, _THINNED)


def record_thinned(connection: sa.Connection, names: Names, partition: str, state: str) -> None:
    """Note the state in which a partition has nothing to delete."""
    _put(connection, names, _THINNED + partition, state)


def forget_others(connection: sa.Connection, names: Names, partitions: Collection[str], now: datetime) -> None:
    """Remove the holds that are over, and the notes about partitions that are not there any more.

    The server compares, so that a hold that is renewed at this moment is compared again, and stays.
    """
    table, moment = settings_table(names), sa.TIMESTAMP(timezone=True)
    over = sa.case((table.c.name.startswith(_HOLD), sa.cast(table.c.value, moment) <= now), else_=sa.false())
    gone = [_THINNED + name for name in thinned_of(connection, names) if name not in partitions]
    connection.execute(sa.delete(table).where(over | table.c.name.in_(gone)))


def _with_prefix(connection: sa.Connection, names: Names, prefix: str) -> dict[str, str]:
    table = settings_table(names)
    found = connection.execute(sa.select(table.c.name, table.c.value).where(table.c.name.startswith(prefix)))
    return {row.name.removeprefix(prefix): row.value for row in found}


def _put(connection: sa.Connection, names: Names, name: str, value: str) -> None:
    new = insert(settings_table(names)).values(name=name, value=value)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


def _put_later(connection: sa.Connection, names: Names, name: str, value: datetime) -> None:
    """Put a moment, unless a later one is there."""
    table, moment = settings_table(names), sa.TIMESTAMP(timezone=True)
    new = insert(table).values(name=name, value=value.astimezone(UTC).isoformat())
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[table.c.name],
            set_={"value": new.excluded.value},
            where=sa.cast(table.c.value, moment) < sa.cast(new.excluded.value, moment),
        )
    )

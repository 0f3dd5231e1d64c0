"""How the tables of one installation are laid out, as the database itself remembers it."""

from dataclasses import dataclass

import sqlalchemy as sa

from dblog.fields import IndexProfile
from dblog.periods import PartitionBy
from dblog.store.names import Names
from dblog.store.schema import settings_table


@dataclass(frozen=True, slots=True)
class Layout:
    """What a migration has to know."""

    names: Names
    partition_by: PartitionBy
    """What one new partition of the records holds."""
    indexes: IndexProfile


def layout_of(connection: sa.Connection, names: Names) -> Layout:
    """Read the layout of tables that are there."""
    table = settings_table(names)
    stored = {row.name: row.value for row in connection.execute(sa.select(table.c.name, table.c.value))}
    return Layout(names, stored["partition_by"], stored["indexes"])


def set_partition_by(connection: sa.Connection, names: Names, partition_by: PartitionBy) -> None:
    """Let every new partition hold an hour, a day, a week or a month; those that are there stay as they are."""
    _set(connection, names, "partition_by", partition_by)


def set_indexes(connection: sa.Connection, names: Names, indexes: IndexProfile) -> None:
    """Note which indexes the table has."""
    _set(connection, names, "indexes", indexes)


def _set(connection: sa.Connection, names: Names, name: str, value: str) -> None:
    table = settings_table(names)
    connection.execute(sa.update(table).where(table.c.name == name).values(value=value))

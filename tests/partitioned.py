"""The partitions of a test's database."""

from datetime import datetime

import sqlalchemy as sa

from dblog.store import partitions
from dblog.store.names import Names, Table
from dblog.store.partitions import Partition, list_partitions


def of(connection: sa.Connection, names: Names, table: Table) -> tuple[Partition, ...]:
    """The partitions of one table."""
    with connection.begin():
        return tuple(found for found in list_partitions(connection, names) if found.table == table)


def now_of(connection: sa.Connection) -> datetime:
    """The clock of the server."""
    with connection.begin():
        return partitions.server_now(connection)

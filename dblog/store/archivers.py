"""What the retention asks of an archive, and what it says where it has none."""

from collections.abc import Container, Iterable
from typing import Protocol

import sqlalchemy as sa

from dblog.errors import DblogError
from dblog.store.marks import Leftover
from dblog.store.names import Table


class Archiver(Protocol):
    """Brings tables of records to safety. It is given a connection in no transaction."""

    def check(self, connection: sa.Connection) -> None:
        """Find out, without a change, whether tables would be taken.

        Raises:
            DblogError: They would not.
        """

    def __call__(self, connection: sa.Connection, table: str, /) -> None:
        """Take a table by its name: detached, so that nothing is added to it.

        Raises:
            DblogError: It has to be kept.
        """


def refusal(archiver: Archiver | None, connection: sa.Connection, tables: Container[Table]) -> str | None:
    """Why the archive would take none of the tables; None where it would, or where none is of records."""
    if archiver is not None and "logs" in tables:
        try:
            archiver.check(connection)
        except DblogError as error:
            return str(error)
    return None


def lacking_option(leftovers: Iterable[Leftover], *, archives: bool) -> str:
    """What has to be added to `dblog prune` so that nothing is lost that is to be archived first."""
    return "" if archives or not any(left.mark.archive for left in leftovers) else " --archive URL"

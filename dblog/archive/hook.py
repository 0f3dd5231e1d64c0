"""What the retention asks to take a table before it is dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dblog.archive import claims
from dblog.archive.catalog import Archive
from dblog.archive.formats import FormatName
from dblog.archive.installation import installation_of
from dblog.archive.stores import clear_errors
from dblog.archive.writing import archive_partition
from dblog.errors import DblogError
from dblog.faults import describe
from dblog.store.archivers import Archiver
from dblog.store.names import Names


class _Hook:
    """Brings tables of records into an archive, and compares every row that is there."""

    def __init__(self, archive: Archive, names: Names, form: FormatName) -> None:
        self._archive = archive
        self._names = names
        self._form = form

    def check(self, connection: sa.Connection) -> None:
        """Make sure that the archive can be read and is this installation's, or may become so."""
        with _clear_errors("the archive cannot be checked"), connection.begin():
            mine = installation_of(connection, self._names)
        with clear_errors(self._archive.where):  # a store may be slow: no transaction waits for it
            claims.check(self._archive, mine)

    def __call__(self, connection: sa.Connection, table: str) -> None:
        """Archive a table."""
        with _clear_errors(f"{table} cannot be archived"):
            for _ in archive_partition(connection.engine, self._names, table, self._archive, self._form, thorough=True):
                pass


@contextmanager
def _clear_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:  # COPY is the driver's own
        raise DblogError(f"{problem}: {describe(error)}") from None


def archiver(location: str, names: Names, form: FormatName | None = None) -> Archiver:
    """What brings a table of records that is to be dropped into an archive, and compares every row that is there.

    The ledger is not archived: it is kept as long as an undelivered batch may come, and proves nothing after that.

    Args:
        location: A directory, or `s3://bucket/prefix`.
        names: The tables.
        form: The format of new files; None: `preferred_format()`.

    Returns:
        What is called with a connection, whose engine it uses, and with the name of a table that nobody writes to. It
        raises DblogError where not every row of the table was read back from the archive: then the table has to stay.
        Its `check` raises it where the archive is another installation's or cannot be read.

    Raises:
        UsageError: The location is of no kind that is known.
        DblogError: What it needs is not installed.
    """
    return _Hook(Archive.at(location, names.prefix), names, form or preferred_format())


def preferred_format() -> FormatName:
    """Parquet where the extra `archive` is installed, else JSON lines."""
    return "parquet" if find_spec("pyarrow") else "jsonl"

"""What the retention asks to take a table before it is dropped."""

from importlib.util import find_spec

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dblog.archive.catalog import Archive
from dblog.archive.formats import FormatName
from dblog.archive.writing import archive_partition
from dblog.errors import DblogError
from dblog.faults import describe
from dblog.store.names import Names
from dblog.store.retention import Archiver


def archiver(location: str, names: Names, form: FormatName | None = None) -> Archiver:
    """What brings a table of records that is to be dropped into an archive, and compares every row that is there.

    The ledger is not archived: it is kept as long as an undelivered batch may come, and proves nothing after that.

    Args:
        location: A directory, or `s3://bucket/prefix`.
        names: The tables.
        form: The format of new files; None: `preferred_format()`.

    Returns:
        A function of a connection, whose engine it uses, and of the name of a table that nobody writes to. It raises
        DblogError where not every row of the table was read back from the archive: then the table has to stay.

    Raises:
        UsageError: The location is of no kind that is known.
        DblogError: What it needs is not installed.
    """
    archive = Archive.at(location, names.prefix)
    chosen = form or preferred_format()

    def take(connection: sa.Connection, table: str) -> None:
        try:
            for _ in archive_partition(connection.engine, names, table, archive, chosen, thorough=True):
                pass
        except (DBAPIError, psycopg.Error) as error:  # COPY is the driver's own
            raise DblogError(f"{table} cannot be archived: {describe(error)}") from None

    return take


def preferred_format() -> FormatName:
    """Parquet where the extra `archive` is installed, else JSON lines."""
    return "parquet" if find_spec("pyarrow") else "jsonl"

"""What a place for an archive has to do, and what a format of its files."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Final, Protocol

from psycopg import Cursor, sql

from dblog.archive.manifest import ArchivedColumn

S3: Final = "s3://"
"""How the address of a bucket begins."""

Columns = Sequence[ArchivedColumn]
Rows = Iterator[bytes]
"""Whole rows, as COPY has them, many at a time."""


class Store(Protocol):
    """Files by their path below the root of an archive, with `/` between the parts.

    All methods raise `OSError` where the store refuses.
    """

    @property
    def location(self) -> str:
        """The root: a path, or `s3://bucket/prefix`."""

    def writing(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Make or replace a file, which is there once the block has ended, and only if it ended well."""

    def reading(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file, to be read at any place.

        Raises:
            FileNotFoundError: There is none.
        """

    def names(self, folder: str) -> list[str]:
        """The names of the files and folders in a folder, sorted; none where there is no such folder."""

    def delete(self, path: str) -> None:
        """Remove a file that is there."""


class Format(Protocol):
    """How rows become a file, and the rows of a file those of a table.

    What `read` yields is, byte for byte, what `write` was given: that is how a file is known to be right.
    """

    @property
    def suffix(self) -> str:
        """How the name of a file ends."""

    def copy_out(self, source: sql.Composable, columns: Columns) -> sql.Composed:
        """The COPY that sends the rows of a relation, ordered by time and id."""

    def write(self, rows: Rows, columns: Columns, sink: IO[bytes]) -> None:
        """Write a file, with no more in memory than what `rows` yields at a time.

        Raises:
            ValueError: A value is none of its column's type.
        """

    def read(self, source: IO[bytes], columns: Columns) -> Rows:
        """The rows of a file.

        Raises:
            ValueError: It is damaged.
            OSError: It cannot be read, or is damaged.
        """

    def load(self, cursor: Cursor, target: sql.Composable, columns: Columns, rows: Rows) -> None:
        """Put rows into a relation that has the columns."""


def names_of(columns: Columns) -> sql.Composed:
    """The names of the columns, quoted, with commas between them."""
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)

"""One JSON object a line, compressed by gzip: the server makes the objects and takes them apart again."""

import gzip
import zlib
from typing import IO, Final

from psycopg import Cursor, sql

from dblog.archive.interfaces import Columns, Rows, names_of

PIECE: Final = 8 * 1024 * 1024
"""Bytes that are read at a time, or one line where that is longer."""


class JsonLines:
    """What needs nothing that is not in the standard library."""

    suffix: Final = "jsonl.gz"

    def copy_out(self, source: sql.Composable, columns: Columns) -> sql.Composed:
        """Objects with the columns as keys."""
        return sql.SQL(
            "COPY (SELECT row_to_json(archived) FROM "
            '(SELECT {} FROM {} AS rows ORDER BY "timestamp", id) AS archived) TO STDOUT'
        ).format(names_of(columns), source)

    def write(self, rows: Rows, columns: Columns, sink: IO[bytes]) -> None:
        """In JSON every odd character is escaped; what COPY adds are backslashes before backslashes."""
        with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, filename="", mtime=0) as file:
            for piece in rows:
                file.write(piece.replace(b"\\\\", b"\\"))

    def read(self, source: IO[bytes], columns: Columns) -> Rows:
        """Some lines at a time."""
        try:
            with gzip.GzipFile(fileobj=source, mode="rb") as file:
                while lines := file.readlines(PIECE):
                    yield b"".join(lines).replace(b"\\", b"\\\\")
        except (EOFError, zlib.error):
            raise ValueError("the compressed data is damaged") from None

    def load(self, cursor: Cursor, target: sql.Composable, columns: Columns, rows: Rows) -> None:
        """Each value is what the type of its column makes of it, JSON numbers with all their digits."""
        cursor.execute("CREATE TEMPORARY TABLE dblog_lines (line json) ON COMMIT DROP")
        with cursor.copy("COPY dblog_lines FROM STDIN") as copy:
            for piece in rows:
                copy.write(piece)
        names = names_of(columns)
        cursor.execute(
            sql.SQL(
                "INSERT INTO {0} ({1}) SELECT {1} FROM dblog_lines, json_populate_record(NULL::{0}, line) AS row"
            ).format(target, names)
        )
        cursor.execute("DROP TABLE dblog_lines")

"""Parquet, compressed by zstd.

Rows travel as CSV in which every value is quoted and NULL is not. Arrow writes the same bytes that PostgreSQL writes,
so what a file holds can be compared with what the server sent, and no value is ever touched by Python.
"""

import io
from typing import IO, Any, Final

from psycopg import Cursor, sql

from dblog.archive.extra import needed
from dblog.archive.interfaces import Columns, Rows, names_of
from dblog.store.quoting import in_calendar

_INTEGERS: Final = {"smallint": "int16", "integer": "int32", "bigint": "int64"}
_MOMENT: Final = "timestamp with time zone"
_SHOWN: Final = (
    f"CASE WHEN NOT {in_calendar('{0}')} THEN {{0}}::text "
    """ELSE to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"Z"') END"""
)


class Parquet:
    """Columns of numbers, of times in microseconds (UTC), and of text for everything else, JSON among it."""

    suffix: Final = "parquet"

    def __init__(self) -> None:
        self._arrow = needed("pyarrow")
        self._csv = needed("pyarrow.csv")
        self._parquet = needed("pyarrow.parquet")

    def copy_out(self, source: sql.Composable, columns: Columns) -> sql.Composed:
        """Times in the form in which Arrow writes them; those that it does not know, such as infinity, as they are."""
        values = sql.SQL(", ").join(
            sql.SQL(_SHOWN).format(name) if column.type == _MOMENT else name
            for column, name in ((column, sql.Identifier(column.name)) for column in columns)
        )
        return sql.SQL(
            'COPY (SELECT {} FROM {} AS archived ORDER BY "timestamp", id) TO STDOUT (FORMAT csv, FORCE_QUOTE *)'
        ).format(values, source)

    def write(self, rows: Rows, columns: Columns, sink: IO[bytes]) -> None:
        """A row group for each piece that `rows` yields."""
        schema = self._arrow.schema([(column.name, self._type(column.type)) for column in columns])
        with self._parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            for piece in rows:
                writer.write_table(self._parsed(piece, schema))

    def read(self, source: IO[bytes], columns: Columns) -> Rows:
        """A row group at a time."""
        file = self._parquet.ParquetFile(source)
        for number in range(file.num_row_groups):
            out = io.BytesIO()
            group = file.read_row_group(number, columns=[column.name for column in columns], use_threads=False)
            options = self._csv.WriteOptions(include_header=False, quoting_style="all_valid")
            self._csv.write_csv(group, out, options)
            yield out.getvalue()

    def load(self, cursor: Cursor, target: sql.Composable, columns: Columns, rows: Rows) -> None:
        """The server reads what it wrote."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(target, names_of(columns))
        with cursor.copy(statement) as copy:
            for piece in rows:
                copy.write(piece)

    def _type(self, name: str) -> Any:
        if name == _MOMENT:
            return self._arrow.timestamp("us", tz="UTC")
        return getattr(self._arrow, _INTEGERS.get(name, "string"))()

    def _parsed(self, piece: bytes, schema: Any) -> Any:
        return self._csv.read_csv(
            self._arrow.BufferReader(piece),
            read_options=self._csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(piece) + 1),
            parse_options=self._csv.ParseOptions(newlines_in_values=True),
            convert_options=self._csv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )

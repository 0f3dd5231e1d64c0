"""What is said to the database: the SQL about the tables of one schema and prefix, with all names quoted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from dblog.batch import Batch, BatchKey
from dblog.copytext import NULL, unescape

ROLLBACK: Final = sql.SQL("ROLLBACK")
COMMIT: Final = sql.SQL("COMMIT")
SAVEPOINT: Final = sql.SQL("SAVEPOINT part")
RELEASE: Final = sql.SQL("RELEASE SAVEPOINT part")
UNDO: Final = sql.SQL("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
CURRENT_SCHEMA: Final = sql.SQL("SELECT current_schema()")
NOW: Final = sql.SQL("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'")
"""The server's clock, as a row has its timestamp."""

_WRITER: Final = ("service", "hostname", "process_id")


def begin(timeout: float) -> sql.Composable:
    """Open a transaction whose statements may take `timeout` seconds each.

    Constraints that are deferred would fail at COMMIT, where no row can be told from the others.
    """
    text = sql.SQL(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL statement_timeout = {}"
    )
    return text.format(round(timeout * 1000))


def writer_of(batch: Batch) -> dict[str, str]:
    """What the first row says about its writer: as much as it has of `service`, `hostname` and `process_id`."""
    first = batch.payload.partition(b"\n")[0].decode().split("\t")
    fields = dict(zip(batch.columns, first, strict=False))  # a closing batch has no row
    return {name: unescape(fields[name]) for name in _WRITER if fields.get(name, NULL) != NULL}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements about one set of tables.

    Args:
        schema: The schema of the tables.
        table_prefix: Their prefix.
    """

    schema: str
    table_prefix: str

    def copy(self, columns: Iterable[str]) -> sql.Composable:
        """Take rows that have these columns."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(self._name("logs"), _names(columns))

    def ledger_row(self, batch: Batch, *, rejected: int, writer: Mapping[str, object]) -> sql.Composable:
        """The line of the ledger; without a conflict target, so that the right to INSERT is enough.

        Args:
            batch: What was delivered.
            rejected: How many of its rows were refused.
            writer: What the ledger has about the writer: `service`, `hostname`, `process_id`.
        """
        values = {
            "birth_day": batch.key.birth_day,
            "writer_id": batch.key.writer_id,
            "batch_seq": batch.key.seq,
            "rows_stored": batch.rows - rejected,
            "rows_rejected": rejected,
            "time_from": batch.time_from,
            "time_to": batch.time_to,
            "accepted": batch.accepted,
            "closing": batch.closing,
            **writer,
        }
        return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            self._name("batches"), _names(values), sql.SQL(", ").join(map(sql.Literal, values.values()))
        )

    def rows_of(self, key: BatchKey) -> sql.Composable:
        """How many rows the ledger has of a batch, stored or refused."""
        return sql.SQL(
            "SELECT rows_stored + rows_rejected FROM {} WHERE birth_day = {} AND writer_id = {} AND batch_seq = {}"
        ).format(self._name("batches"), key.birth_day, key.writer_id, key.seq)

    def make_partition(self, moment: str) -> sql.Composable:
        """Make the partitions that hold a moment, unless they are there."""
        return sql.SQL("SELECT {}({})").format(self._name("make_partition"), moment)

    def partition_by(self) -> sql.Composable:
        """What one partition holds: an hour, a day, a week or a month."""
        return sql.SQL("SELECT value FROM {} WHERE name = 'partition_by'").format(self._name("settings"))

    def oldest_writer(self) -> sql.Composable:
        """The oldest revision whose writers can write to these tables."""
        return sql.SQL("SELECT value FROM {} WHERE name = 'oldest_writer'").format(self._name("settings"))

    def revision(self) -> sql.Composable:
        """The Alembic revision of the tables."""
        return sql.SQL("SELECT version_num FROM {}").format(self._name("alembic_version"))

    def _name(self, suffix: str) -> sql.Identifier:
        return sql.Identifier(self.schema, f"{self.table_prefix}_{suffix}")


def _names(columns: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))

"""The columns of `{prefix}_logs` and `{prefix}_batches`: the one list on which writing and reading stand.

The order of `LOG_COLUMNS` is the order of the fields in an encoded line: `row.py` writes it, COPY reads it.
The first two fields are put in front by the worker, which alone knows the batch. The timestamp comes next and
has a fixed width, and the level follows, so that a batch can be summed up by slicing its lines.
"""

from typing import Final, NamedTuple

SCHEMA_REVISION: Final = "0002"
"""The Alembic revision that this release works with; revisions sort as texts."""

OLDEST_WRITABLE: Final = "0001"
"""The oldest revision to which the writers of this release can write, until the tables are upgraded."""


def takes_records(revision: str, oldest_writer: str | None) -> bool:
    """Whether writers of this release can go on with tables of another revision.

    Args:
        revision: The revision of the tables.
        oldest_writer: The oldest revision whose writers can write to them, as the tables themselves say.
    """
    if revision > SCHEMA_REVISION:
        return oldest_writer is not None and oldest_writer <= SCHEMA_REVISION
    return revision >= OLDEST_WRITABLE


class Column(NamedTuple):
    """A column: its name, its PostgreSQL type, whether NULL is possible, and what it holds."""

    name: str
    type: str
    nullable: bool
    comment: str


LOG_COLUMNS: Final = (
    Column("writer_id", "uuid", False, "The writer (one handler in one process) that delivered the row"),
    Column("batch_seq", "bigint", False, "The batch of that writer, counted from 1"),
    Column("timestamp", "timestamptz", False, "When the record was made, by the clock of its host"),
    Column("level_no", "integer", False, "The number of the level: 10 DEBUG, 20 INFO, 30 WARNING, 40 ERROR"),
    Column("level", "text", False, "The name of the level"),
    Column("logger_name", "text", False, "The logger, by its dotted name"),
    Column("service", "text", True, "The service that the handler was configured for"),
    Column("hostname", "text", False, "The host of the process"),
    Column("process_id", "integer", True, "The process"),
    Column("module", "text", True, "The module of the call"),
    Column("function_name", "text", True, "The function of the call"),
    Column("filename", "text", True, "The file of the call, without its folder"),
    Column("lineno", "integer", True, "The line of the call"),
    Column("pathname", "text", True, "The file of the call, with its folder"),
    Column("thread_id", "bigint", True, "The thread, as threading.get_ident() gives it"),
    Column("thread_name", "text", True, "The name of the thread"),
    Column("task_name", "text", True, "The name of the asyncio task"),
    Column("trace_id", "text", True, "The trace, 32 hexadecimal digits where OpenTelemetry gave it"),
    Column("span_id", "text", True, "The span, 16 hexadecimal digits where OpenTelemetry gave it"),
    Column("exception_type", "text", True, "The qualified name of the exception's class"),
    Column("exception", "text", True, "The traceback"),
    Column("stack_info", "text", True, "The stack of the call, where stack_info=True asked for it"),
    Column("extra_data", "jsonb", True, "What extra={...} carried, without the values of secret keys"),
    Column("message", "text", False, "The message, with its arguments merged in"),
)

COLUMN_NAMES: Final = tuple(column.name for column in LOG_COLUMNS)

SERVER_COLUMNS: Final = (
    Column("id", "bigint", False, "Counts the rows in the order of their arrival"),
    Column("created_at", "timestamptz", False, "When the row was inserted, by the clock of the server"),
)
"""What PostgreSQL fills in: an identity and `now()`, neither of which slows COPY down."""

BATCH_COLUMNS: Final = (
    Column("birth_day", "date", False, "The UTC day on which the batch was formed: the partition key"),
    Column("writer_id", "uuid", False, "The writer: one handler in one process"),
    Column("batch_seq", "bigint", False, "The batch of that writer, counted from 1 without gaps"),
    Column("rows_stored", "integer", False, "Rows of the batch in the table"),
    Column(
        "rows_rejected",
        "integer",
        False,
        "Rows of the batch that PostgreSQL refused, set aside by the writer",
    ),
    Column("time_from", "timestamptz", True, "The smallest timestamp among the rows"),
    Column("time_to", "timestamptz", True, "The largest timestamp among the rows"),
    Column("accepted", "bigint", False, "Records that the writer had accepted when the batch was formed"),
    Column("closing", "boolean", False, "True where the writer closed in order; later batches were logged after that"),
    Column("service", "text", True, "The service of the writer"),
    Column("hostname", "text", False, "The host of the writer"),
    Column("process_id", "integer", False, "The process of the writer"),
)

BATCH_SERVER_COLUMNS: Final = (
    Column(
        "xact_id",
        "xid8",
        False,
        "The transaction: what `dblog tail -f` follows, so that late commits are seen",
    ),
    Column("created_at", "timestamptz", False, "When the batch was delivered, by the clock of the server"),
    Column("rows_removed", "integer", False, "Rows of the batch that the retention deleted on purpose"),
)
"""What PostgreSQL fills in: `pg_current_xact_id()`, `now()` and 0."""

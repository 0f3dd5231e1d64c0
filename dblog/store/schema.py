"""The tables as SQLAlchemy Core metadata, built from the list of columns on which the writing side stands, too."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import ischema_names

from dblog import columns
from dblog.fields import IndexProfile
from dblog.store.names import Names

LOGS_COMMENT: Final = "Log records, one row each, partitioned by timestamp"
BATCHES_COMMENT: Final = "The ledger: one row for each batch that was delivered, partitioned by its day of birth"
SETTINGS_COMMENT: Final = "What the database itself has to know: partition_by for new partitions, indexes"

SORTED_BY_BYTES: Final = frozenset({"level", "logger_name", "service", "hostname"})
"""Columns with COLLATE "C": their indexes serve prefix searches and survive an upgrade of the system's locales."""

INDEXES: Final[dict[IndexProfile, dict[str, tuple[str, ...]]]] = {
    "minimal": {},
    "standard": {
        "by_logger": ("logger_name", "timestamp"),
        "warnings": ("timestamp", "level_no"),
        "warnings_by_logger": ("logger_name", "timestamp", "level_no"),
        "by_trace": ("trace_id",),
    },
    "full": {
        "by_level": ("level", "timestamp"),
        "by_logger": ("logger_name", "timestamp"),
        "by_host": ("hostname", "timestamp"),
        "by_time_level_logger": ("timestamp", "level", "logger_name"),
        "warnings": ("timestamp", "level_no"),
        "warnings_by_logger": ("logger_name", "timestamp", "level_no"),
        "by_trace": ("trace_id",),
    },
}
"""The indexes of each profile; the primary key, which every profile has, serves newest first and, with the level that
it includes, counts by time and level."""

PARTIAL: Final = {
    "warnings": "level_no >= 30",
    "warnings_by_logger": "level_no >= 30",
    "by_trace": "trace_id IS NOT NULL",
}
"""Which rows are in an index that has not all of them."""


class Xid8(sa.types.UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction number."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "xid8"


# Reflection would otherwise warn and leave the type of such a column open.
ischema_names["xid8"] = Xid8

_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    "bigint": sa.BigInteger(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "integer": sa.Integer(),
    "jsonb": postgresql.JSONB(),
    "text": sa.Text(),
    "timestamptz": sa.TIMESTAMP(timezone=True),
    "uuid": sa.Uuid(),
    "xid8": Xid8(),
}


_FILLED_IN: Final = {"created_at": "now()", "xact_id": "pg_current_xact_id()", "rows_removed": "0"}
"""What the server puts into columns that no writer names; `id` is an identity."""


def build_metadata(names: Names, indexes: IndexProfile) -> sa.MetaData:
    """Describe all tables of one installation, with the indexes of one profile."""
    metadata = sa.MetaData(schema=names.schema)
    _add_logs(metadata, names, indexes)
    _add_batches(metadata, names)
    _add_settings(metadata, names)
    return metadata


def logs_table(names: Names) -> sa.Table:
    """`{prefix}_logs`, to build queries with."""
    return _add_logs(sa.MetaData(schema=names.schema), names, "minimal")


def batches_table(names: Names) -> sa.Table:
    """`{prefix}_batches`, to build queries with."""
    return _add_batches(sa.MetaData(schema=names.schema), names)


def settings_table(names: Names) -> sa.Table:
    """`{prefix}_settings`, to build queries with."""
    return _add_settings(sa.MetaData(schema=names.schema), names)


def _add_logs(metadata: sa.MetaData, names: Names, indexes: IndexProfile) -> sa.Table:
    table = sa.Table(
        names.logs,
        metadata,
        *(_column(column) for column in (*columns.LOG_COLUMNS, *columns.SERVER_COLUMNS)),
        sa.PrimaryKeyConstraint("timestamp", "id", name=f"{names.logs}_pkey", postgresql_include=["level"]),
        comment=LOGS_COMMENT,
        postgresql_partition_by='RANGE ("timestamp")',
    )
    for suffix, keys in INDEXES[indexes].items():
        where = sa.text(PARTIAL[suffix]) if suffix in PARTIAL else None
        sa.Index(f"{names.logs}_{suffix}", *(table.c[key] for key in keys), postgresql_where=where)
    return table


def _add_batches(metadata: sa.MetaData, names: Names) -> sa.Table:
    table = sa.Table(
        names.batches,
        metadata,
        *(_column(column) for column in (*columns.BATCH_COLUMNS, *columns.BATCH_SERVER_COLUMNS)),
        sa.PrimaryKeyConstraint("birth_day", "writer_id", "batch_seq", name=f"{names.batches}_pkey"),
        comment=BATCHES_COMMENT,
        postgresql_partition_by="RANGE (birth_day)",
    )
    sa.Index(f"{names.batches}_by_xact", table.c.xact_id)
    return table


def _add_settings(metadata: sa.MetaData, names: Names) -> sa.Table:
    return sa.Table(
        names.settings,
        metadata,
        sa.Column("name", sa.Text, nullable=False, comment="The setting"),
        sa.Column("value", sa.Text, nullable=False, comment="Its value"),
        sa.PrimaryKeyConstraint("name", name=f"{names.settings}_pkey"),
        sa.CheckConstraint(
            "name <> 'partition_by' OR value IN ('hour', 'day', 'week', 'month')", name=f"{names.settings}_check"
        ),
        comment=SETTINGS_COMMENT,
    )


def _column(column: columns.Column) -> sa.Column[Any]:
    type_ = sa.Text(collation="C") if column.name in SORTED_BY_BYTES else _TYPES[column.type]
    filled = _FILLED_IN.get(column.name)
    return sa.Column(
        column.name,
        type_,
        *([sa.Identity(always=False)] if column.name == "id" else []),
        server_default=sa.text(filled) if filled else None,
        nullable=column.nullable,
        comment=column.comment,
    )

"""The table that is to be adopted: what it is, and whether its rows can be taken. It is only ever read."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dblog.errors import DatabaseError, UsageError
from dblog.faults import sqlstate_of
from dblog.store.names import Names
from dblog.store.quoting import quoted

INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
ZONED: Final = "timestamp with time zone"
UNZONED: Final = frozenset({"timestamp without time zone", "date"})
NEEDED: Final = ("id", "timestamp", "message")
ONE_OF: Final = ("level", "logger_name")
"""Without any of these a table with a message may be anything."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table of log records that somebody else made."""

    schema: str
    name: str
    oid: int
    columns: dict[str, str]
    """The type of each column, without its length; of a domain, what it is made of."""
    size: int
    """Bytes on disk, without the indexes."""
    file: str
    """The table and its file, as the server numbers them: others after TRUNCATE, after a rewrite, for a new table.

    Of a table with partitions the files are theirs.
    """

    @property
    def title(self) -> str:
        """Schema and name, for people and for notes."""
        return f"{self.schema}.{self.name}"

    @property
    def qualified(self) -> str:
        """Schema and name, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def unzoned(self) -> tuple[str, ...]:
        """The columns of times that do not say in which zone they are."""
        return tuple(name for name in ("timestamp", "created_at") if self.columns.get(name) in UNZONED)


def find_source(connection: sa.Connection, names: Names, table: str) -> Source:
    """Look at a table, and make sure that its rows can be taken.

    Args:
        connection: A connection that is in no transaction.
        names: The tables that are to take them.
        table: Its name as in SQL: `app_logs`, `old.app_logs`, `"App Logs"`.

    Raises:
        UsageError: It is not there, or is no table of log records; says what is wrong with it.
        DatabaseError: The role may not read it, or does not own the tables of dblog.
    """
    with connection.begin():
        source = _look(connection, table)
        if source.schema == names.schema and _is_ours(connection, names, source):
            raise UsageError(f"{source.title} belongs to dblog: its rows need not be adopted")
        _require_columns(source)
        _require_rights(connection, names, source)
        _require_order(connection, source)
    return source


def _look(connection: sa.Connection, table: str) -> Source:
    try:
        found = connection.execute(_TABLE, {"table": table}).one_or_none()
    except DBAPIError as error:
        if sqlstate_of(error) not in ("42601", "42602", "0A000"):
            raise
        raise UsageError(f"{table!r} is not the name of a table; accepted: app_logs, old.app_logs") from None
    if found is None:
        raise UsageError(f"there is no table {table} in this database, or it is in a schema that the role may not use")
    if found.relkind not in ("r", "p"):
        raise UsageError(f"{found.nspname}.{found.relname} is no table")
    columns = {row.name: row.type for row in connection.execute(_COLUMNS, {"oid": found.oid})}
    return Source(found.nspname, found.relname, found.oid, columns, found.size, found.file)


def digest(text: str) -> str:
    """The SHA-256 of a text in SQL, in hexadecimal digits: unlike MD5, no server refuses it."""
    return f"encode(sha256(convert_to({text}, getdatabaseencoding())), 'hex')"


_PARTS: Final = "string_agg(concat_ws(' ', CAST(relid AS oid), pg_relation_filenode(relid)), ',' ORDER BY relid)"

FILE: Final = f"""
    concat_ws(' ', c.oid, pg_relation_filenode(c.oid), (SELECT {digest(_PARTS)} FROM pg_partition_tree(c.oid)))
"""
"""What `Source.file` is of a table `c` of pg_class."""

_TABLE: Final = sa.text(
    rf"""
    SELECT c.oid\:\:bigint AS oid, n.nspname, c.relname, c.relkind\:\:text AS relkind,
           coalesce((SELECT sum(pg_table_size(relid)) FROM pg_partition_tree(c.oid)), pg_table_size(c.oid))\:\:bigint
             AS size,
           {FILE} AS file
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(:table)
    """
)

_COLUMNS: Final = sa.text(
    """
    SELECT attname AS name, format_type(coalesce(nullif(typbasetype, 0), atttypid), NULL) AS type
    FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
    WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
    """
)


def _is_ours(connection: sa.Connection, names: Names, source: Source) -> bool:
    parents = sa.text("SELECT inhparent FROM pg_inherits WHERE inhrelid = :oid")
    family = {source.oid, *connection.execute(parents, {"oid": source.oid}).scalars()}
    own = sa.text("SELECT CAST(CAST(to_regclass(:name) AS oid) AS bigint)")
    return any(
        connection.scalar(own, {"name": names.qualified(table)}) in family for table in (names.logs, names.batches)
    )


def _require_columns(source: Source) -> None:
    missing = [name for name in NEEDED if name not in source.columns]
    if missing or not any(name in source.columns for name in ONE_OF):
        lacking = ", ".join(missing) or " and ".join(ONE_OF)
        raise UsageError(
            f"{source.title} is no table of log records that can be adopted: it has no column {lacking}; needed are "
            f"{', '.join(NEEDED)}, and {' or '.join(ONE_OF)}"
        )
    if source.columns["id"] not in INTEGERS:
        raise UsageError(f"{source.title}: id is {source.columns['id']}; accepted: smallint, integer or bigint")
    if source.columns["timestamp"] not in (ZONED, *UNZONED):
        kind = source.columns["timestamp"]
        raise UsageError(f"{source.title}: timestamp is {kind}; accepted: timestamp with or without time zone, or date")


def _require_rights(connection: sa.Connection, names: Names, source: Source) -> None:
    asked = {"source": source.oid, "logs": names.qualified(names.logs)}
    role, may_read, is_owner = connection.execute(_RIGHTS, asked).one()
    if not may_read:
        raise DatabaseError(
            f"the role {role} may not read {source.title}: GRANT SELECT ON {source.qualified} TO {role}"
        )
    if not is_owner:
        raise DatabaseError(f"the role {role} does not own {names.schema}.{names.logs}: adopt as its owner")


_RIGHTS: Final = sa.text(
    """
    SELECT quote_ident(current_user), has_table_privilege(CAST(:source AS oid), 'SELECT'),
           pg_has_role(relowner, 'USAGE')
    FROM pg_class WHERE oid = to_regclass(:logs)
    """
)


def _require_order(connection: sa.Connection, source: Source) -> None:
    """A batch is found by the column `id`: it has to have an index, and no NULL."""
    if not connection.scalar(_HAS_INDEX, {"oid": source.oid}):
        raise UsageError(
            f"{source.title} has no index that begins with id, so that each batch would read the whole table: CREATE "
            f"INDEX CONCURRENTLY ON {source.qualified} (id)"
        )
    nulls = sa.select(sa.exists().where(sa.table(source.name, sa.column("id"), schema=source.schema).c.id.is_(None)))
    if connection.scalar(nulls):
        raise UsageError(f"{source.title} has rows without an id, which cannot be told apart: give them one first")


_HAS_INDEX: Final = sa.text(
    """
    SELECT EXISTS (
        SELECT FROM pg_index JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = indkey[0]
        WHERE indrelid = :oid AND a.attname = 'id' AND indpred IS NULL AND indisvalid
    )
    """
)

"""The indexes of the records as the catalogue knows them, compared by what they are and not by their names."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from dblog.fields import IndexProfile
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.schema import INDEXES, build_metadata


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the parent or of one of its partitions."""

    name: str
    table: str
    definition: str
    """What comes after the table in CREATE INDEX, as the server writes it."""
    valid: bool
    """False while it is not finished; of the parent, until each partition has its own."""
    parent: str | None
    """For an index of a partition, the parent's index to which it is attached."""


def indexes_of(connection: sa.Connection, names: Names) -> tuple[Index, ...]:
    """The indexes of the records' table and of its partitions, but for those that are unique."""
    rows = connection.execute(_INDEXES, {"table": names.qualified(names.logs)})
    return tuple(Index(**row) for row in rows.mappings())


def own_names(names: Names) -> frozenset[str]:
    """What the parent's indexes are called in any profile, as they are or set aside under another definition."""
    known = {f"{names.logs}_{suffix}" for profile in INDEXES.values() for suffix in profile}
    return frozenset(known | {set_aside_name(name) for name in known})


def set_aside_name(name: str) -> str:
    """What an index is called after another one took its name."""
    return f"{name}_old"


def wanted_by(connection: sa.Connection, names: Names, profile: IndexProfile) -> Mapping[str, str]:
    """The definitions of a profile, as the server writes them: of a copy of the table that nobody ever sees.

    The connection must be in no transaction.
    """
    table = build_metadata(names, profile).tables[f"{names.schema}.{names.logs}"]
    copy = sql.Identifier(names.logs).as_string(None)
    with connection.begin() as never_committed:
        connection.execute(verbatim(f"CREATE TEMPORARY TABLE {copy} (LIKE {names.qualified(names.logs)})"))
        for index in table.to_metadata(sa.MetaData(), schema="pg_temp").indexes:
            connection.execute(sa.schema.CreateIndex(index))
        rows = connection.execute(_INDEXES, {"table": f"pg_temp.{copy}"})
        found = {row.name: row.definition for row in rows}
        never_committed.rollback()
    return found


_INDEXES = sa.text(
    """
    SELECT x.relname AS name,
           t.relname AS "table",
           regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') AS definition,
           i.indisvalid AS valid,
           p.relname AS parent
    FROM (SELECT to_regclass(:table) AS oid
          UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:table)) AS tree
    JOIN pg_class t ON t.oid = tree.oid
    JOIN pg_index i ON i.indrelid = t.oid AND NOT i.indisunique
    JOIN pg_class x ON x.oid = i.indexrelid
    LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
    LEFT JOIN pg_class p ON p.oid = h.inhparent
    ORDER BY t.relname, x.relname
    """
)

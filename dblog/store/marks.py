"""The comments by which expired partitions are known, so that what an interrupted run leaves behind is dropped.

A table that somebody detached in order to keep it has no such comment, or another one, and is never touched.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from dblog.store.names import Names, Table
from dblog.store.partitions import ROWS

_SOME: Final = ", but for what is kept longer"
_ARCHIVE: Final = ", to be archived"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to become of an expired partition."""

    rescue: bool = False
    """Rows that the policy keeps may have come after it was found to have none: they are put back before the drop."""
    archive: bool = False
    """It is not dropped before it is archived."""

    @property
    def text(self) -> str:
        """How the comment goes on after the name of the parent."""
        return ", expired" + (_SOME if self.rescue else "") + (_ARCHIVE if self.archive else "")


_MARKS: Final = {mark.text: mark for mark in (Mark(), Mark(rescue=True), Mark(archive=True), Mark(True, True))}


@dataclass(frozen=True, slots=True)
class Leftover:
    """An expired table that was detached and not dropped."""

    name: str
    table: Table
    mark: Mark
    rows: int | None
    """As those of a partition."""
    size: int
    """Bytes on disk, with indexes."""


def comment_of(connection: sa.Connection, names: Names, table: Table, mark: Mark | None) -> str:
    """The comment of a partition; the server quotes the parent's name as `make_partition` had it quoted.

    With a mark it is one that has expired.
    """
    text = sa.func.format("dblog partition of %I.%I%s", names.schema, names.of(table), mark.text if mark else "")
    return str(connection.scalar(sa.select(text)))


def leftovers(connection: sa.Connection, names: Names) -> tuple[Leftover, ...]:
    """The tables that are to be dropped, by name."""
    return _marked(connection, names, attached=False)


def still_attached(connection: sa.Connection, names: Names) -> tuple[Leftover, ...]:
    """Partitions that were marked, and whose detaching was not begun."""
    return _marked(connection, names, attached=True)


def _marked(connection: sa.Connection, names: Names, *, attached: bool) -> tuple[Leftover, ...]:
    tables = {"schema": names.schema, "logs": names.logs, "batches": names.batches}
    found = connection.execute(_MARKED, {**tables, "marks": list(_MARKS), "attached": attached})
    return tuple(Leftover(row.name, row.table, _MARKS[row.mark], row.rows, row.size) for row in found)


_MARKED = sa.text(
    f"""
    SELECT c.relname AS name, p.kind AS table, m.mark, {ROWS} AS rows, pg_total_relation_size(c.oid) AS size
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN (VALUES ('logs', CAST(:logs AS text)), ('batches', CAST(:batches AS text))) AS p (kind, parent)
    CROSS JOIN unnest(CAST(:marks AS text[])) AS m (mark)
    WHERE n.nspname = :schema AND c.relkind = 'r' AND c.relispartition = :attached
      AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhdetachpending)
      AND obj_description(c.oid, 'pg_class') = format('dblog partition of %I.%I%s', :schema, p.parent, m.mark)
    ORDER BY name
    """
)

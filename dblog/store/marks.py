"""The comments by which expired partitions are known, so that what an interrupted run leaves behind is dropped.

A table that somebody detached in order to keep it has no such comment, or another one, and is never touched.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from dblog.store.names import Names, Table

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
    size: int
    """Bytes on disk, with indexes."""


def comment_of(connection: sa.Connection, names: Names, table: Table, mark: Mark) -> str:
    """The comment of an expired partition; the server quotes the parent's name as `make_partition` had it quoted."""
    text = sa.func.format("dblog partition of %I.%I%s", names.schema, names.of(table), mark.text)
    return str(connection.scalar(sa.select(text)))


def leftovers(connection: sa.Connection, names: Names) -> tuple[Leftover, ...]:
    """The tables that are to be dropped, by name."""
    known = {"schema": names.schema, "logs": names.logs, "batches": names.batches, "marks": list(_MARKS)}
    return tuple(
        Leftover(row.name, row.table, _MARKS[row.mark], row.size) for row in connection.execute(_LEFTOVERS, known)
    )


_LEFTOVERS = sa.text(
    """
    SELECT c.relname AS name, p.kind AS table, m.mark, pg_total_relation_size(c.oid) AS size
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN (VALUES ('logs', CAST(:logs AS text)), ('batches', CAST(:batches AS text))) AS p (kind, parent)
    CROSS JOIN unnest(CAST(:marks AS text[])) AS m (mark)
    WHERE n.nspname = :schema AND c.relkind = 'r' AND NOT c.relispartition
      AND obj_description(c.oid, 'pg_class') = format('dblog partition of %I.%I%s', :schema, p.parent, m.mark)
    ORDER BY name
    """
)

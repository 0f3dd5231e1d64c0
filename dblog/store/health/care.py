"""Bloat: rows that are dead and take room, and closed partitions that nobody looked after."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from dblog.checks import Check
from dblog.store.care import due
from dblog.store.health.subject import Subject, named, psql

DEAD_ROWS: Final = 10_000
"""Dead rows that are not worth a word."""

DEAD_SHARE: Final = 0.2
"""The share of dead rows from which a partition is bloated; the server's own vacuum comes at that, too."""

GRACE: Final = timedelta(days=2)
"""How long after the end of a partition it should have been looked after."""


def check_care(subject: Subject) -> Iterator[Check]:
    """Dead rows of partitions, and what closed partitions deserve."""
    asked = {"parents": [subject.names.qualified(subject.names.of(table)) for table in ("logs", "batches")]}
    known = subject.connection.execute(_DEAD, asked | {"rows": DEAD_ROWS, "share": DEAD_SHARE}).all()
    if known:
        finding = "dead rows: " + named(f"{row.dead:,} in {row.name}" for row in known)
        yield Check("bloat", "warning", finding, psql(f"VACUUM (ANALYZE) {row.name}" for row in known))
    else:
        yield Check("bloat", "ok", "no partition has many dead rows")
    left = [part for part in due(subject.partitions, subject.now - GRACE) if part.rows != 0]
    if left:
        finding = f"{named(part.name for part in left)}: closed, and neither frozen nor analyzed"
        yield Check("closed partitions", "warning", finding, "dblog prune")


_DEAD: Final = sa.text(
    """
    SELECT format('%I.%I', schemaname, relname) AS name, n_dead_tup AS dead
    FROM pg_stat_all_tables JOIN pg_inherits ON inhrelid = relid
    WHERE inhparent = ANY (CAST(CAST(:parents AS text[]) AS regclass[]))
      AND n_dead_tup > CAST(:rows AS bigint) AND n_dead_tup > CAST(:share AS float) * n_live_tup
    ORDER BY n_dead_tup DESC
    """
)

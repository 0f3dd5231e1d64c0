"""Whether the indexes are those of the profile, whole, and used."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from dblog.checks import Check
from dblog.store.health.subject import Subject, named, psql
from dblog.store.schema import INDEXES

UNUSED_FOR: Final = timedelta(days=30)
"""How long the server must have counted before an index that nobody used is called unused."""


def check_indexes(subject: Subject) -> Iterator[Check]:
    """Indexes that are missing, that are not whole, and that nobody uses."""
    names = subject.names
    profile = {f"{names.logs}_{suffix}" for suffix in INDEXES[subject.indexes]}
    found = subject.connection.execute(_INDEXES, {"parent": names.qualified(names.logs)}).all()
    missing = sorted(profile - {row.relname for row in found if row.of_parent})
    broken = [row for row in found if not row.valid and not row.of_parent]
    unfinished = [row for row in found if not row.valid and row.of_parent]
    if missing:
        yield Check("indexes", "warning", f"{named(missing)}: missing", f"dblog init --indexes {subject.indexes}")
    elif broken:
        finding = f"{named(row.name for row in broken)}: broken, by a build that was cut short"
        yield Check("indexes", "warning", finding, psql(f"REINDEX INDEX CONCURRENTLY {row.name}" for row in broken))
    elif unfinished:
        own = [row for row in unfinished if row.relname in profile]
        finding = f"{named(row.name for row in own or unfinished)}: not there for all partitions"
        drop = psql(f"DROP INDEX {row.name}" for row in unfinished)
        yield Check("indexes", "warning", finding, f"dblog init --indexes {subject.indexes}" if own else drop)
    else:
        yield Check("indexes", "ok", f"those of the profile {subject.indexes}")
    yield from _unused(subject, profile)


def _unused(subject: Subject, profile: set[str]) -> Iterator[Check]:
    """Indexes of somebody else: those of the profile are there for questions that may be asked tomorrow."""
    asked = {"parent": subject.names.qualified(subject.names.logs), "days": UNUSED_FOR.days}
    unused = [row for row in subject.connection.execute(_UNUSED, asked) if row.relname not in profile]
    if unused:
        finding = f"{named(row.name for row in unused)}: not used for {UNUSED_FOR.days} days, and kept up to date"
        yield Check("unused index", "warning", finding, psql(f"DROP INDEX {row.name}" for row in unused))


_INDEXES: Final = sa.text(
    """
    SELECT c.relname, format('%I.%I', nspname, c.relname) AS name, indisvalid AS valid,
           indrelid = to_regclass(:parent) AS of_parent
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE indrelid = to_regclass(:parent)
       OR indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:parent))
    ORDER BY c.relname
    """
)

_UNUSED: Final = sa.text(
    """
    SELECT c.relname, format('%I.%I', nspname, c.relname) AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = relnamespace
    JOIN pg_inherits h ON h.inhparent = i.indexrelid
    JOIN pg_stat_all_indexes s ON s.indexrelid = h.inhrelid
    WHERE i.indrelid = to_regclass(:parent) AND NOT indisunique
      AND (SELECT coalesce(stats_reset, pg_postmaster_start_time()) FROM pg_stat_database
           WHERE datname = current_database()) <= now() - make_interval(days => :days)
    GROUP BY c.relname, nspname HAVING sum(idx_scan) = 0
    ORDER BY c.relname
    """
)

"""Partitions for rows that are older than any record may be: the owner makes them, because the function refuses."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa

from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import list_partitions
from dblog.store.quoting import literal, quoted


def make_old_partition(
    connection: sa.Connection, names: Names, moment: datetime, step: Literal["day", "month"] = "month"
) -> str:
    """Make a partition of the records that holds a moment: a month or a day, or what its neighbours leave of it.

    The caller has to commit; the role must be a member of the owner. Like the function it attaches, so that nobody who
    writes or reads has to wait.

    Returns:
        The name of the partition, also where it was there already.
    """
    parent = names.qualified(names.logs)
    _become_owner(connection, names)
    connection.execute(sa.select(sa.func.set_config("lock_timeout", "2s", True)))
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(names.lock, 0))))
    others = [part for part in list_partitions(connection, names) if part.table == "logs" and not part.default]
    if holder := next((part.name for part in others if part.holds(moment)), None):
        return holder
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    if step == "month":
        start = start.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    start = max([start, *(part.end for part in others if part.end is not None and part.end <= moment)])
    end = min([end, *(part.start for part in others if part.start is not None and part.start > moment)])
    name = _free_name(connection, names, f"{names.logs}_p{start:{_STEMS[step]}}")
    child, mark = names.qualified(name), connection.scalar(_MARK, {"schema": names.schema, "table": names.logs})
    bounds = f"FROM ({literal(start.isoformat())}) TO ({literal(end.isoformat())})"
    connection.execute(verbatim(f"CREATE TABLE {child} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)"))
    connection.execute(verbatim(f"COMMENT ON TABLE {child} IS {literal(mark)}"))
    connection.execute(verbatim(f"ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES {bounds}"))
    return name


def _become_owner(connection: sa.Connection, names: Names) -> None:
    """Be the owner of the records until the transaction ends: the retention can drop only what the owner has made."""
    owner = connection.scalar(_OWNER, {"parent": names.qualified(names.logs)})
    connection.execute(verbatim(f"SET LOCAL ROLE {quoted(str(owner))}"))


_STEMS: Final = {"day": "%Y%m%d", "month": "%Y%m"}
_OWNER = sa.text("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(:parent)")
_MARK = sa.text("SELECT format('dblog partition of %I.%I', CAST(:schema AS text), CAST(:table AS text))")
_TAKEN = sa.text(
    """
    SELECT EXISTS (
        SELECT relname FROM pg_class WHERE relnamespace = n.oid AND relname = :name
        UNION ALL SELECT typname FROM pg_type WHERE typnamespace = n.oid AND typname = :name
    )
    FROM pg_namespace n WHERE nspname = :schema
    """
)


def _free_name(connection: sa.Connection, names: Names, stem: str) -> str:
    name, copies = stem, 1
    while connection.scalar(_TAKEN, {"schema": names.schema, "name": name}):
        copies += 1
        name = f"{stem}_{copies}"
    return name

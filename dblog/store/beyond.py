"""Partitions for rows of any age: where no record may be that old, the owner makes them, as the function refuses."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal

import sqlalchemy as sa

from dblog import defaults
from dblog.errors import DatabaseError
from dblog.periods import end_of
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import Partition, attach_patiently, list_partitions, make_partition, server_now
from dblog.store.quoting import literal, quoted

Step = Literal["day", "month"]

_OLDEST: Final = timedelta(days=defaults.PAST_WINDOW_DAYS)
_LATEST: Final = timedelta(days=defaults.FUTURE_WINDOW_DAYS)


def ensure_partition(connection: sa.Connection, names: Names, moment: datetime, step: Step) -> Partition:
    """Make the partition of the records that holds a moment where it is missing; writers and readers pass.

    Args:
        connection: In no transaction; the role must be a member of the owner.
        names: The tables.
        moment: Any.
        step: What the partition holds where no writer needs one so far from now, or what its neighbours leave of it.

    Raises:
        DatabaseError: It is being detached, or a DEFAULT partition has rows for it.
        sqlalchemy.exc.DBAPIError: PostgreSQL refused it for another reason.
    """
    found = _holder(connection, names, moment)
    if found is None:
        _make(connection, names, moment, step)
        found = _holder(connection, names, moment)
    if found is None or found.detaching:
        raise DatabaseError(f"the partition for {moment:%Y-%m-%d %H:%M} UTC is being detached: run `dblog prune` first")
    return found


def _holder(connection: sa.Connection, names: Names, moment: datetime) -> Partition | None:
    with connection.begin():
        return next((part for part in _partitions(connection, names) if part.holds(moment)), None)


def _partitions(connection: sa.Connection, names: Names) -> list[Partition]:
    return [part for part in list_partitions(connection, names) if part.table == "logs"]


def _make(connection: sa.Connection, names: Names, moment: datetime, step: Step) -> None:
    with connection.begin():
        now = server_now(connection)
    if now - _OLDEST < moment < now + _LATEST:
        make_partition(connection, names, moment)
    else:
        attach_patiently(connection, names, moment, partial(_make_as_owner, connection, names, moment, step))


def _make_as_owner(connection: sa.Connection, names: Names, moment: datetime, step: Step) -> None:
    """Make a partition that the function refuses to make; like it, attach, so that nobody has to wait."""
    parent = names.qualified(names.logs)
    with connection.begin():
        _become_owner(connection, names)
        connection.execute(sa.select(sa.func.set_config("lock_timeout", "2s", True)))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(names.lock, 0))))
        others = [part for part in _partitions(connection, names) if not part.default]
        if any(part.holds(moment) for part in others):
            return
        start, end = _bounds(others, moment.astimezone(UTC), step)
        date = start.date().isoformat().replace("-", "")
        name = _free_name(connection, names, f"{names.logs}_p{date[: _DIGITS[step]]}")
        child, mark = names.qualified(name), connection.scalar(_MARK, {"schema": names.schema, "table": names.logs})
        upper = _AFTER_ALL if end is None else end.isoformat()
        values = f"FROM ({literal(start.isoformat())}) TO ({literal(upper)})"
        connection.execute(verbatim(f"CREATE TABLE {child} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)"))
        connection.execute(verbatim(f"COMMENT ON TABLE {child} IS {literal(mark)}"))
        connection.execute(verbatim(f"ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES {values}"))


def _become_owner(connection: sa.Connection, names: Names) -> None:
    """Be the owner of the records until the transaction ends: the retention can drop only what the owner has made."""
    owner = connection.scalar(_OWNER, {"parent": names.qualified(names.logs)})
    connection.execute(verbatim(f"SET LOCAL ROLE {quoted(str(owner))}"))


def _bounds(others: list[Partition], moment: datetime, step: Step) -> tuple[datetime, datetime | None]:
    """From when to when; None for the end of the last period that there is, because no program can name it."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "month":
        start = start.replace(day=1)
    others = [part for part in others if part.start is None or part.start != part.end]  # some hold no such moment
    ends = [part.end for part in others if part.end is not None and part.end <= moment]
    starts = [part.start for part in others if part.start is not None and part.start > moment]
    with suppress(OverflowError):  # there is no moment after it
        starts.append(end_of(step, moment))
    return max([start, *ends]), min(starts, default=None)


_AFTER_ALL: Final = "10000-01-01 00:00+00"
"""The end of the last period: partitions of later times may be there."""

_DIGITS: Final = {"day": 8, "month": 6}
"""How much of the date the name of a partition has."""

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

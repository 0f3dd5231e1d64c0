"""What the retention has to do, found by the clock of the server; nothing is changed here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

import sqlalchemy as sa

from dblog.store.archivers import Archiver, refusal
from dblog.store.deletion import count_due, may_go_whole, state_of
from dblog.store.guard import doubt_about_clock
from dblog.store.horizons import holds_of, thinned_of
from dblog.store.marks import Leftover, leftovers
from dblog.store.names import Names, Table
from dblog.store.partitions import Partition, list_partitions, server_now
from dblog.store.policy import Cuts, Policy, affected, expired, is_excessive
from dblog.store.sizing import forecast, oversize, total_bytes

Action = Literal[
    "would drop",
    "would archive and drop",
    "would detach",
    "would delete rows",
    "would keep",
    "held",
    "dropped",
    "archived and dropped",
    "detached",
    "deleting rows",
    "deleted rows",
    "waiting",
    "kept",
    "frozen",
]

PASSING: Final = ("deleting rows", "frozen")
"""Actions that only show that the work goes on."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one table, or would."""

    name: str
    action: Action
    """`deleting rows` comes again and again while a partition is at work, with the rows so far."""
    rows: int | None = 0
    """An estimate, None where there is none; for rows that are deleted, their number."""
    size: int = 0
    """Bytes on disk, with indexes."""
    blockers: tuple[int, ...] = ()
    """For `waiting`: the server processes in the way; the next run finishes the work."""
    levels: dict[int, int] = field(default_factory=dict)
    """Rows that are deleted, by the number of the level."""
    note: str = ""
    """For `kept` and `would keep`, why; for `held`, until when."""


@dataclass(frozen=True, slots=True)
class Thinning:
    """A partition of which some rows are to go."""

    part: Partition
    cuts: Cuts
    state: str
    """What is noted once they are gone."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """What the retention has to do."""

    now: datetime
    """The clock of the server."""
    policy: Policy
    due: tuple[Partition, ...]
    """Partitions of which nothing is to be kept, the records' oldest first."""
    emptied: frozenset[str]
    """Those among them that go although they are not old enough for everything, because they hold nothing else."""
    thin: tuple[Thinning, ...]
    pending: tuple[Partition, ...]
    """Partitions, due or not, whose detaching was begun and stands in the way of every other."""
    leftovers: tuple[Leftover, ...]
    """Expired tables that were detached and not dropped."""
    defaults: Mapping[Table, str]
    """DEFAULT partitions, which dblog never makes: nothing is detached beside them."""
    held: tuple[tuple[Partition, datetime], ...]
    """Partitions that would have to do with all this, and are left alone until a moment."""
    doubts: tuple[str, ...]
    """Why nothing is removed without `force`."""
    bytes: int
    """What the partitions that stay take on disk."""
    limit_in_days: int | None
    """When they will take more than the policy allows, at today's rate; None for never, as far as one can see."""

    def __len__(self) -> int:
        """The number of tables to deal with."""
        return len(self.due) + len(self.thin) + len(self.pending) + len(self.leftovers)


def find_expired(connection: sa.Connection, names: Names, policy: Policy) -> Expiry:
    """Find what is to go; the connection must be in no transaction, and the role able to read the records."""
    with connection.begin():
        now = server_now(connection)
        partitions = list_partitions(connection, names)
        holds = {name: until for name, until in holds_of(connection, names).items() if until > now}
        free = [part for part in partitions if part.name not in holds and not part.detaching]
        due = list(expired(free, now, policy))
        emptied, thin = _look_into(connection, names, affected(free, now, policy))
        due += emptied
        going = {part.name for part in due}
        if policy.max_bytes is not None:
            due += oversize([part for part in free if part.name not in going], now, policy.max_bytes)
            going = {part.name for part in due}
        stay = [part for part in partitions if part.name not in going]
        doubts = (doubt_about_clock(connection, names, now), _doubt_about_number(is_excessive(partitions, due, now)))
        return Expiry(
            now=now,
            policy=policy,
            due=tuple(due),
            emptied=frozenset(part.name for part in emptied),
            thin=tuple(each for each in thin if each.part.name not in going),
            pending=tuple(part for part in partitions if part.detaching),
            leftovers=leftovers(connection, names),
            defaults=_defaults(partitions),
            held=tuple((part, holds[part.name]) for part in partitions if part.name in holds),
            doubts=tuple(doubt for doubt in doubts if doubt is not None),
            bytes=total_bytes(stay),
            limit_in_days=forecast(stay, now, policy),
        )


def still_there(connection: sa.Connection, names: Names, expiry: Expiry) -> Expiry:
    """What another run, whose turn came between, has left of what was found."""
    partitions = list_partitions(connection, names)
    attached = {part.name: part.detaching for part in partitions}
    return replace(
        expiry,
        defaults=_defaults(partitions),
        due=tuple(part for part in expiry.due if attached.get(part.name) is False),
        thin=tuple(each for each in expiry.thin if attached.get(each.part.name) is False),
        pending=tuple(part for part in expiry.pending if attached.get(part.name)),
    )


def why_left(left: Leftover, refused: str | None, *, archive: bool, force: bool) -> str | None:
    """Why a detached table is not dropped; None where it is. `refused`: why the archive takes none."""
    if left.mark.archive and not archive and not force:
        return "to be archived first: run `dblog prune --archive URL`, or set logging.database.archive"
    return refused if left.table == "logs" else None


def why_kept(part: Partition, refused: str | None, expiry: Expiry) -> str | None:
    """Why a partition that is due is not detached; None where it is. `refused`: why the archive takes none."""
    if part.table in expiry.defaults:
        return f"nothing is detached beside the default partition {expiry.defaults[part.table]}: see `dblog doctor`"
    return refused if part.table == "logs" else None


def planned(
    connection: sa.Connection, names: Names, expiry: Expiry, *, archiver: Archiver | None = None, force: bool = False
) -> tuple[Removal, ...]:
    """What a run would do, with an archive or by force where those are given; counts the rows that it would delete."""
    tables = {part.table for part in expiry.due} | {left.table for left in expiry.leftovers}
    refused = refusal(archiver, connection, tables)
    archive = archiver is not None
    with connection.begin():
        counts = [count_due(connection, names, each.part.name, each.cuts) for each in expiry.thin]
    return (
        *(Removal(part.name, "would detach", part.rows, part.size) for part in expiry.pending),
        *(
            _would(Removal(left.name, "would drop", left.rows, left.size), left.table, archive, reason)
            for left in expiry.leftovers
            for reason in [why_left(left, refused, archive=archive, force=force)]
        ),
        *(
            _would(Removal(part.name, "would drop", part.rows, part.size), part.table, archive, reason)
            for part in expiry.due
            for reason in [why_kept(part, refused, expiry)]
        ),
        *(
            Removal(each.part.name, "would delete rows", sum(levels.values()), each.part.size, levels=levels)
            for each, levels in zip(expiry.thin, counts, strict=True)
            if levels
        ),
        *(
            Removal(part.name, "held", part.rows, part.size, note=f"until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
            for part, until in expiry.held
        ),
    )


def _look_into(
    connection: sa.Connection, names: Names, found: tuple[tuple[Partition, Cuts], ...]
) -> tuple[list[Partition], list[Thinning]]:
    """Tell those that may go as a whole from those of which rows have to be deleted, or have been."""
    emptied, thin = [], []
    noted = thinned_of(connection, names)
    for part, cuts in found:
        state = state_of(connection, names, part.name, cuts)
        if noted.get(part.name) == state:
            continue
        if part.end is not None and cuts.latest >= part.end and may_go_whole(connection, names, part.name, cuts):
            emptied.append(part)
        else:
            thin.append(Thinning(part, cuts, state))
    return emptied, thin


def _doubt_about_number(excessive: bool) -> str | None:
    if not excessive:
        return None
    return "more than half of the partitions would go: the retention, the limit or the server's clock may be wrong"


def _defaults(partitions: Iterable[Partition]) -> dict[Table, str]:
    return {part.table: part.name for part in partitions if part.default}


def _would(drop: Removal, table: Table, archive: bool, reason: str | None) -> Removal:
    if reason is not None:
        return replace(drop, action="would keep", note=reason)
    return replace(drop, action="would archive and drop") if archive and table == "logs" else drop

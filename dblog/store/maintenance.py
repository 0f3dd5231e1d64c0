"""One run of the maintenance: partitions ahead, then the retention, then the care for what is closed.

`dblog prune`, `dblog maintain` and the background of an application do the same. Making partitions comes first, because
finishing a detach can keep others waiting for a moment, and depends on nothing that comes after it.
"""

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from dblog.store.archivers import Archiver
from dblog.store.care import look_after
from dblog.store.expiry import PASSING, Expiry, Removal, find_expired
from dblog.store.horizons import last_seen
from dblog.store.names import Names
from dblog.store.partitions import make_ahead, server_now
from dblog.store.policy import Policy
from dblog.store.retention import Refused, prune
from dblog.store.turn import Busy, alone


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has begun."""

    made: tuple[str, ...]
    """The partitions that were made ahead."""
    expiry: Expiry
    removals: Generator[Removal]
    """Does the rest, step by step, and tells of each; raises what `prune` raises, `Refused` after everything else."""


def begin(
    connection: sa.Connection,
    names: Names,
    policy: Policy,
    *,
    ahead: int,
    force: bool = False,
    archiver: Archiver | None = None,
) -> Run:
    """Make the partitions ahead and find what is to go.

    Args:
        connection: From `dblog.store.engine.keeping`, in no transaction.
        names: The tables.
        policy: What is kept for how long.
        ahead: Partitions to have ahead of time.
        force: As `prune` takes it.
        archiver: As `prune` takes it.
    """
    made = make_ahead(connection, names, ahead)
    expiry = find_expired(connection, names, policy)
    return Run(made, expiry, _go_on(connection, names, expiry, force, archiver))


def _go_on(
    connection: sa.Connection, names: Names, expiry: Expiry, force: bool, archiver: Archiver | None
) -> Generator[Removal]:
    refusal: Refused | None = None
    try:
        yield from prune(connection, names, expiry, force=force, archiver=archiver)
    except Refused as error:
        refusal = error
    with suppress(Busy), alone(connection, names):  # whoever has begun another run does this, too
        yield from (Removal(name, "frozen") for name in look_after(connection, names, expiry.now))
    if refusal is not None:
        raise refusal


def is_due(connection: sa.Connection, names: Names, every: float) -> bool:
    """Whether no process has done all this within half of the interval, which is in seconds."""
    with connection.begin():
        seen, now = last_seen(connection, names), server_now(connection)
    return seen is None or not timedelta(0) <= now - seen < timedelta(seconds=every / 2)


def is_unfinished(removals: Iterable[Removal]) -> bool:
    """Whether something is left to the next run, or to somebody who has to act."""
    return any(removal.action in ("waiting", "kept") for removal in removals)


def summary(made: Iterable[str], removals: Iterable[Removal]) -> str:
    """One line about a run."""
    known = [removal for removal in removals if removal.action not in PASSING]
    tables = Counter(removal.action for removal in known)
    counts = {
        "partitions made": len(tuple(made)),
        **{action: tables[action] for action in ("archived and dropped", "dropped", "detached")},
        "rows deleted": sum(removal.rows or 0 for removal in known if removal.action == "deleted rows"),
        **{action: tables[action] for action in ("waiting", "kept")},
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return "; ".join((told or "nothing to do", *(f"{each.name}: {each.note}" for each in known if each.note)))

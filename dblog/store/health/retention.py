"""How large the tables are, how fast they grow, and whether the retention does its work."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from rich.filesize import decimal

from dblog.checks import Check
from dblog.store.guard import doubt_about_clock
from dblog.store.health.subject import Subject, named, prune
from dblog.store.horizons import holds_of
from dblog.store.policy import Policy, expired, is_excessive, policy_of
from dblog.store.sizing import daily_bytes, forecast, oversize, total_bytes

GRACE: Final = timedelta(days=2)
"""How long something may be due before it is said: a retention that runs once a day may have failed once."""


def check_retention(subject: Subject) -> Iterator[Check]:
    """Sizes and growth, the limit that comes, and what should have gone."""
    policy = policy_of(subject.settings.logging.database)
    yield _size(subject, policy)
    holds = holds_of(subject.connection, subject.names)
    free = [part for part in subject.partitions if part.name not in holds and not part.detaching]
    due = list(expired(free, subject.now, policy))
    going = {part.name for part in due}
    if policy.max_bytes is not None:
        due += oversize([part for part in free if part.name not in going], subject.now, policy.max_bytes)
    doubt = _doubt(subject, is_excessive(subject.partitions, due, subject.now)) if due else None
    late = expired(free, subject.now - GRACE, policy)
    # Old rows get partitions of the ledger, too, which stay empty.
    overdue = {part.name for part in late if part.table == "logs" or part.rows != 0}
    if doubt is not None:
        finding = f"{named(part.name for part in due)}: to go, and refused without --force: {doubt}"
        yield Check("retention", "warning", finding, prune(subject, "--force"))
    elif overdue:
        yield Check("retention", "warning", f"{named(sorted(overdue))}: overdue; does prune run?", "dblog prune")
    else:
        yield Check("retention", "ok", f"{policy.longest.days} days; nothing is overdue")


def _size(subject: Subject, policy: Policy) -> Check:
    total = total_bytes(subject.partitions)
    growth = daily_bytes(subject.partitions, subject.now)
    finding = f"{decimal(total)} in {len(subject.partitions)} partitions, {decimal(round(growth))} in the last day"
    if policy.max_bytes is None:
        return Check("size", "ok", finding)
    days = forecast(subject.partitions, subject.now, policy)
    limit = f"the limit of {decimal(policy.max_bytes)}"
    if days == 0:
        return Check("size", "warning", f"{finding}; {limit} is exceeded", "dblog prune")
    when = "is not reached" if days is None else f"is reached in {days} days"
    return Check("size", "ok", f"{finding}; at that rate {limit} {when}")


def _doubt(subject: Subject, excessive: bool) -> str | None:
    """Why the guard would refuse, as far as the role may look."""
    if excessive:
        return "more than half of the partitions would go"
    return doubt_about_clock(subject.connection, subject.names, subject.now) if subject.may_read else None

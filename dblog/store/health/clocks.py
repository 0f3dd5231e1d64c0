"""Whether the clocks of the server, of this host and of those that log agree."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from dblog.checks import Check
from dblog.escapes import printable
from dblog.store.health.subject import Subject
from dblog.store.partitions import server_now
from dblog.store.schema import logs_table

TOLERANCE: Final = timedelta(seconds=5)
"""What clocks may differ by, beside the time that the question itself took."""

AHEAD: Final = timedelta(minutes=1)
"""How far ahead of the server a record may be."""

REMEDY: Final = "timedatectl set-ntp true"


def check_clocks(subject: Subject) -> Iterator[Check]:
    """The clock of this host, and those of the hosts that log."""
    before = datetime.now(UTC)
    server = server_now(subject.connection)
    after = datetime.now(UTC)
    skew = server - (before + (after - before) / 2)
    if abs(skew) > TOLERANCE + (after - before):
        way = "behind" if skew > timedelta(0) else "ahead of"
        finding = f"this host is {abs(skew).total_seconds():,.0f} s {way} the server; set the one that is wrong"
        yield Check("clock", "warning", finding, REMEDY)
    else:
        yield Check("clock", "ok", "this host and the server agree")
    if subject.may_read:
        yield from _records(subject, server)


def _records(subject: Subject, server: datetime) -> Iterator[Check]:
    table = logs_table(subject.names)
    newest = sa.select(table.c.timestamp, table.c.hostname).order_by(table.c.timestamp.desc()).limit(1)
    row = subject.connection.execute(newest.where(table.c.timestamp > server + AHEAD)).one_or_none()
    if row is not None:
        ahead = (row.timestamp - server).total_seconds()
        finding = (
            f"the newest record, of {printable(row.hostname)}, is {ahead:,.0f} s ahead; set the clock of that host"
        )
        yield Check("clocks of the records", "warning", finding, REMEDY)

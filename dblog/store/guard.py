"""Whether the server's clock can be believed, which decides about what is dropped."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from dblog.store.horizons import last_seen
from dblog.store.names import Names
from dblog.store.schema import logs_table

JUMP: Final = timedelta(days=7)
"""The longest time without a sign of life: of the retention itself, or of a record that was logged meanwhile."""


def doubt_about_clock(connection: sa.Connection, names: Names, now: datetime) -> str | None:
    """Why the clock is not believed; None where it is.

    A clock that jumped has left a hole: neither did the retention run in that time, nor was anything logged. A table
    that is in use and was not looked after for months has none, and one that nobody wrote to looks the same as a jump.
    """
    known = last_seen(connection, names) or _newest(connection, names, None, now)
    while known is not None and now - known > JUMP:
        heard = _newest(connection, names, known, known + JUMP)
        if heard is None:
            return (
                f"the server's clock says {now:%Y-%m-%d %H:%M} UTC, and in the {JUMP.days} days after "
                f"{known:%Y-%m-%d %H:%M} there was neither a record nor a run of the retention: it may have jumped"
            )
        known = heard
    return None


def _newest(connection: sa.Connection, names: Names, after: datetime | None, until: datetime) -> datetime | None:
    moment = logs_table(names).c.timestamp
    newest = sa.select(moment).where(moment <= until).order_by(moment.desc()).limit(1)
    return connection.scalar(newest if after is None else newest.where(moment > after))

"""Taking turns: of many processes that want to prune, one does."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from dblog.errors import DblogError
from dblog.store.names import Names


class Busy(DblogError):  # noqa: N818 - reads as what it says
    """Another process does the same at this moment."""


@contextmanager
def alone(connection: sa.Connection, names: Names) -> Iterator[sa.Connection]:
    """A second connection, in AUTOCOMMIT, that keeps other processes from pruning.

    Raises:
        Busy: One of them does.
    """
    key = sa.func.hashtextextended(f"prune {names.lock}", 0)
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own:
        if not own.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
            raise Busy(f"another process is pruning the tables {names.prefix}_* in the schema {names.schema}")
        try:
            yield own
        finally:
            if not own.invalidated:  # a session that was lost has lost the lock
                own.execute(sa.select(sa.func.pg_advisory_unlock(key)))

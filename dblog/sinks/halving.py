"""Finding the rows that PostgreSQL refuses: halves under savepoints, until each of them stands alone."""

from collections.abc import Callable, Iterator

import psycopg
from psycopg import sql

from dblog.batch import Rejected
from dblog.faults import Fault, classify, describe_refusal
from dblog.sinks import statements

Run = Callable[[sql.Composable, bytes | None], object]
"""Runs a statement, with what its COPY reads. Raises psycopg.Error."""


def copy_halves(run: Run, copy: sql.Composable, rows: list[bytes]) -> Iterator[Rejected]:
    """Copy rows within the open transaction and give those that are refused, with the reason.

    Raises:
        psycopg.Error: Something else went wrong; the transaction is of no use any more.
    """
    run(statements.SAVEPOINT, None)
    try:
        run(copy, b"".join(rows))
        run(statements.RELEASE, None)
        return
    except psycopg.Error as error:
        if classify(error) not in (Fault.BAD_DATA, Fault.NO_PARTITION):
            raise
        reason = describe_refusal(error)
    run(statements.UNDO, None)
    if len(rows) == 1:
        yield Rejected(rows[0], reason)
    else:
        yield from copy_halves(run, copy, rows[: len(rows) // 2])
        yield from copy_halves(run, copy, rows[len(rows) // 2 :])

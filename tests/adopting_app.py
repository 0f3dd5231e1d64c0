"""Adopts the table of another application, killed before its first statement, its second, and so on until it is done.

Each run is a process of its own. Prints how many there were.
"""

import os
import signal
import sys

import sqlalchemy as sa

from dblog.config import load_settings
from dblog.store.adopting.run import adopt, settled_bound
from dblog.store.adopting.source import find_source
from dblog.store.engine import keeping


def run(dsn: str, statements: int) -> None:
    """Adopt in batches of two rows; die before a statement, counted from 0."""
    left = statements

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        source = find_source(connection, names, "app_logs")
        bound = settled_bound(connection, source, wait=60, waiting=lambda: None)
        sa.event.listen(connection.engine, "before_cursor_execute", count)
        sa.event.listen(connection.engine, "commit", count)
        for _ in adopt(connection, names, source, zone=None, batch_rows=2, bound=bound):
            pass


def is_killed(dsn: str, statements: int) -> bool:
    """Whether a forked process did not come to its end."""
    child = os.fork()
    if child == 0:
        run(dsn, statements)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


if __name__ == "__main__":
    count = 0
    while is_killed(sys.argv[1], count):
        count += 1
    print(count)

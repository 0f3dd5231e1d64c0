"""Runs the maintenance in forked children, each of which dies at one of its statements; told by lines on stdin.

A line is a connection string and a list in JSON: `before` or `after`, a part of the statement, and which of those with
that part it is; null for a run that may live. The answer is how the child ended.
"""

import json
import os
import sys

import sqlalchemy as sa
from eventually import eventually

from dblog.config import load_settings
from dblog.store.engine import keeping
from dblog.store.maintenance import begin
from dblog.store.policy import Policy
from dblog.store.turn import Busy

KILLED = 9
POLICY = Policy(300, {10: 7})


def die(when: str, part: str, number: int) -> None:
    """End the process as SIGKILL would, just before or after a statement."""
    left = number

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal left
        left -= part in statement
        if left == 0:
            os._exit(KILLED)

    sa.event.listen(sa.Engine, f"{when}_cursor_execute", count)


class Archive:
    """Takes everything."""

    def check(self, connection: sa.Connection) -> None:
        """It would."""

    def __call__(self, connection: sa.Connection, table: str) -> None:
        """It does."""


def maintain(dsn: str) -> None:
    """One run, with an archive that takes everything."""
    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        run = begin(connection, names, POLICY, ahead=9, force=True, archiver=Archive())
        for _ in run.removals:
            pass


def is_done(dsn: str) -> bool:
    """Whether it was this process's turn, and it came to the end."""
    try:
        maintain(dsn)
    except Busy:
        return False
    return True


def child(dsn: str, point: tuple[str, str, int] | None) -> None:
    """Be killed, or come to the end; whoever was killed before may hold the lock for another moment."""
    if point:
        die(*point)
    eventually(lambda: is_done(dsn), "the turn to prune")
    os._exit(0)


for line in sys.stdin:
    dsn, point = json.loads(line)
    process = os.fork()
    if not process:
        try:
            child(dsn, point)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)

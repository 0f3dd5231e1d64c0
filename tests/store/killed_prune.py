"""Runs the maintenance in forked children, each of which dies before its n-th statement; told by lines on stdin.

A line is a connection string and a number, in JSON; 0 for a run that may live. The answer is how the child ended.
"""

import json
import os
import sys
import time

import sqlalchemy as sa

from dblog.config import load_settings
from dblog.store.engine import keeping
from dblog.store.maintenance import begin
from dblog.store.policy import Policy
from dblog.store.turn import Busy

KILLED = 9
POLICY = Policy(300, {10: 7})


def die_before(number: int) -> None:
    """End the process as SIGKILL would, just before a statement."""
    left = number

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(KILLED)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)


def maintain(dsn: str) -> None:
    """One run, with an archive that takes everything."""
    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        run = begin(connection, names, POLICY, ahead=2, force=True, archiver=lambda *_: None)
        for _ in run.removals:
            pass


def child(dsn: str, number: int) -> None:
    """Be killed, or come to the end; whoever was killed before may hold the lock for another moment."""
    if number:
        die_before(number)
    while True:
        try:
            maintain(dsn)
        except Busy:
            time.sleep(0.02)
        else:
            os._exit(0)


for line in sys.stdin:
    dsn, number = json.loads(line)
    process = os.fork()
    if not process:
        try:
            child(dsn, number)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)

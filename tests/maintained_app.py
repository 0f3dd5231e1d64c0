"""Forks while the maintenance of the parent holds a connection; parent and child say which threads they have."""

import os
import sys
import threading

from dblog import maintainer
from dblog.config import load_settings
from dblog.maintainer import Maintainer


class Gate(Maintainer):
    """Stays connected until it is let go."""

    opened = threading.Event()
    let_go = threading.Event()
    answered = threading.Event()

    def _look(self, end: threading.Event) -> None:
        from dblog.store.engine import keeping

        with keeping(self._settings.database) as (connection, _):
            self._watch(connection)
            self.opened.set()
            self.let_go.wait()
            connection.exec_driver_sql("SELECT 1")
            self.answered.set()
            end.wait()


def say(who: str) -> None:
    """Print the names of the threads of the maintenance."""
    print(who, *(thread.name for thread in threading.enumerate() if thread.name == maintainer.THREAD), flush=True)


maintainer.FIRST_LOOK = 0.001
gate = Gate(load_settings({}, dsn=sys.argv[1]), 1000.0)
gate.opened.wait()
maintainer.FIRST_LOOK = 1000.0
child = os.fork()
if not child:
    say("child")
    os._exit(0)
os.waitpid(child, 0)
gate.let_go.set()
assert gate.answered.wait(60), "the child closed its parent's connection"
say("parent")
gate.close()

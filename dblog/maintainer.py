"""The maintenance in the background of an application: a thread that sleeps, and now and then looks whether it is due.

Of many processes the one that comes first does the work; the others find that it is done, or that it is being done. No
work is too long to be left off: a run may be cut short at any point, and the next one goes on. So the end of a process
waits for nothing here.
"""

import logging
import os
import random
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from dblog import processes
from dblog.errors import DblogError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from dblog.settings import Settings
    from dblog.store.archivers import Archiver
    from dblog.store.names import Names

THREAD: Final = "dblog-maintainer"

FIRST_LOOK = 60.0
"""Seconds within which the first look comes, at a moment of its own in each process."""

logger = logging.getLogger("dblog.maintenance")


def archiver_for(url: str | None, names: "Names") -> "Archiver | None":
    """What brings partitions to an archive; None without one.

    Raises:
        DblogError: The archive cannot be used.
    """
    if url is None:
        return None
    from dblog.archive import archiver

    return archiver(url, names)


class Maintainer:
    """The thread of one process; a forked child gets one of its own.

    Args:
        settings: The whole of the configuration.
        every: Seconds between two looks.
    """

    close_timeout: Final = 0.0

    def __init__(self, settings: "Settings", every: float) -> None:
        self._settings = settings
        self._every = every
        self._begin()
        processes.register(self)

    @property
    def closed(self) -> bool:
        """True where no further look is taken."""
        return self._end.is_set()

    def flush(self, timeout: float | None = None) -> bool:
        """Nothing waits here."""
        return True

    def close(self, timeout: float | None = None) -> None:
        """Take no further look; what is being done is left off after its current step."""
        self._end.set()
        processes.forget(self)

    def restart_after_fork(self) -> None:
        """Let go of the parent's connections without a word to the server, and go on in the child."""
        for descriptor in self._sockets.values():
            _point_nowhere(descriptor)
        if not self.closed:
            self._begin()

    def _begin(self) -> None:
        self._end = threading.Event()
        self._sockets: dict[int, int] = {}  # by the identity of the driver's connection
        pause = random.SystemRandom().uniform(0.0, min(self._every, FIRST_LOOK))  # so that not all come at once
        threading.Thread(target=self._run, args=(self._end, pause), name=THREAD, daemon=True).start()

    def _run(self, end: threading.Event, pause: float) -> None:
        while not end.wait(pause):
            pause = self._every
            try:
                self._look(end)
            except DblogError as error:
                logger.warning("%s", error)
            except Exception as error:  # noqa: BLE001 - the next look may do better
                logger.warning("unexpected %s in the maintenance", type(error).__name__)

    def _look(self, end: threading.Event) -> None:
        from dblog.store.engine import keeping
        from dblog.store.expiry import PASSING
        from dblog.store.maintenance import begin, is_due, is_unfinished, summary
        from dblog.store.policy import policy_of
        from dblog.store.turn import Busy

        chosen, database = self._settings.logging.database, self._settings.database
        removals = []
        try:
            with keeping(database) as (connection, names):
                self._watch(connection)
                if not is_due(connection, names, self._every):
                    return
                archiver = archiver_for(chosen.archive, names)
                run = begin(connection, names, policy_of(chosen), ahead=database.partitions_ahead, archiver=archiver)
                with closing(run.removals):
                    for removal in run.removals:
                        if removal.action not in PASSING:
                            removals.append(removal)
                        if end.is_set():
                            return
        except Busy:
            return
        finally:
            self._sockets.clear()
        if removals or run.made:
            level = logging.WARNING if is_unfinished(removals) else logging.INFO
            logger.log(level, "%s", summary(run.made, removals))

    def _watch(self, connection: "sa.Connection") -> None:
        """Know the sockets, for a child that may be forked now."""
        import sqlalchemy as sa

        def add(opened: Any, _: object) -> None:
            self._sockets[id(opened)] = opened.fileno()

        def forget(opened: Any, _: object) -> None:  # before it is closed: its number may be somebody else's soon
            self._sockets.pop(id(opened), None)

        add(connection.connection.driver_connection, None)
        sa.event.listen(connection.engine, "connect", add)
        sa.event.listen(connection.engine, "close", forget)


def _point_nowhere(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)

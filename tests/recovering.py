"""A recovery on a file, with everything around it played by the test."""

import threading
from pathlib import Path

from eventually import eventually

from dblog.files.fulldisk.disk_state import DiskState
from dblog.files.fulldisk.notify import StateChange
from dblog.files.fulldisk.recovery import THREAD, Recovery
from dblog.selflog import Announcer


class Bench:
    """A recovery on a file, with everything around it played by the test.

    Attributes:
        trouble: What opening the file raises; None where it works.
        told: The changes of the state.
        rooms: The errors for which room was to be made.
        waits: Seconds that the thread wanted to wait.
    """

    def __init__(self, path: Path, interval: float = 0.01, min_free: int = 0) -> None:
        self.path = path
        self.trouble: OSError | None = None
        self.told: list[StateChange] = []
        self.rooms: list[OSError] = []
        self.waits: list[float] = []
        self.state = DiskState(interval)
        self.recovery = Recovery(
            path,
            self.state,
            min_free=min_free,
            reopen=self._reopen,
            make_room=self.rooms.append,
            tell=self.told.append,
            announcer=Announcer(),
            wait=self._wait,
        )

    def _reopen(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.path.touch()

    def _wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return stop.wait(seconds)

    def recovers(self) -> None:
        """Wait until the file counts as normal and the thread has ended."""
        eventually(lambda: not self.state.is_degraded, "the recovery")
        eventually(lambda: not running(), "the end of the thread")


def running() -> list[threading.Thread]:
    """The threads that look after a file."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD]

"""What stands by for the time in which the file cannot be written: the other stream, the clean-up and the way back."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from dblog.files.encoding import LineEncoding
from dblog.files.fulldisk.disk_state import DiskState
from dblog.files.fulldisk.emergency import EmergencyCleanup
from dblog.files.fulldisk.fallback import Fallback, TextStream
from dblog.files.fulldisk.notify import Notifier, StateChange
from dblog.files.fulldisk.recovery import Recovery
from dblog.files.livefile import LiveFile
from dblog.files.rotated.rotation import Rotation
from dblog.files.settings import FileSettings
from dblog.files.sharedlock import FilesLock
from dblog.selflog import Announcer

_MEBIBYTE: Final = 1024 * 1024
_LONGEST_TELLING: Final = 1.0
"""Seconds that callbacks and webhooks are given at the end."""


class Standby:
    """The parts that a full disk needs, put together for one file.

    Args:
        settings: The writer's settings.
        live: The live file.
        rotation: Its rotated files.
        encoding: How the file is encoded.
        files_lock: Held by whoever changes files.
        reopen: Opens the live file anew; raises OSError where it cannot be.
        announcer: Tells the operator.
        fallback: The fallback stream, where it is an object; else the settings name it.
        on_state_change: Told when the file cannot be written any more, and when it can be again.

    Attributes:
        state: Whether the file can be written, and what has failed.
        fallback: Where lines go meanwhile.
        cleanup: Makes room.
        recovery: Looks whether the file can be written again.
    """

    def __init__(
        self,
        settings: FileSettings,
        live: LiveFile,
        rotation: Rotation,
        encoding: LineEncoding,
        files_lock: FilesLock,
        reopen: Callable[[], object],
        announcer: Announcer,
        *,
        fallback: TextStream | None,
        on_state_change: Callable[[StateChange], object] | None,
    ) -> None:
        min_free = int(settings.recovery_min_free_mb * _MEBIBYTE)
        self.state = DiskState(settings.recovery_check_interval_sec)
        self.fallback = Fallback(settings.fallback_stream if fallback is None else fallback, encoding.name)
        self.cleanup = EmergencyCleanup(
            live,
            rotation.backups,
            threshold=int(settings.emergency_cleanup_threshold_mb * _MEBIBYTE),
            min_free=min_free,
            newline=encoding.newline,
            locked=lambda: files_lock,
            announcer=announcer,
        )
        self._notifier = Notifier(announcer, on_state_change, settings.webhook_url)
        self.recovery = Recovery(
            live.path,
            self.state,
            min_free=min_free,
            reopen=reopen,
            make_room=self.cleanup.run,
            tell=self._notifier.tell,
            announcer=announcer,
            fallback=settings.fallback_stream if fallback is None else "the fallback stream",
        )

    def takes_all(self) -> bool:
        """True where a line has to go to the fallback stream, without a try of the file."""
        return self.recovery.diverts()

    def print(self, lines: Sequence[bytes]) -> None:
        """Give lines to the fallback stream."""
        self.fallback.print(lines)

    def trying(self) -> None:
        """The file is about to be written, degraded or not."""
        if self.state.is_degraded:
            self.recovery.trying()

    def failed(self, error: OSError) -> None:
        """The file could not be opened, written or synced."""
        self.recovery.failed(error)

    def wrote(self) -> None:
        """The file was written."""
        if self.state.failures:
            self.recovery.wrote()

    def end(self, timeout: float) -> None:
        """End the threads, in about `timeout` seconds."""
        deadline = monotonic() + timeout
        self.recovery.close(timeout)
        self._notifier.close(max(0.0, min(_LONGEST_TELLING, deadline - monotonic())))

    def restart_after_fork(self) -> None:
        """Begin anew in a child."""
        self.fallback.restart_after_fork()
        self.cleanup.restart_after_fork()
        self._notifier.restart_after_fork()
        self.recovery.restart_after_fork()

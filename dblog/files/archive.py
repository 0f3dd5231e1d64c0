"""The live file and those that it was before: opened, rotated when that is due, then deleted or compressed."""

import time
from collections.abc import Callable
from contextlib import nullcontext

from dblog.files.livefile import LiveFile
from dblog.files.metrics import Counts
from dblog.files.rotated.compression import Compressor
from dblog.files.rotated.packing import Packing
from dblog.files.rotated.rotation import Rotation
from dblog.files.settings import FileSettings
from dblog.files.sharedlock import FilesLock, SharedLock
from dblog.selflog import Announcer


class Archive:
    """Keeps one live file and its rotated ones in order; used by one thread at a time, the one that has the turn.

    Args:
        settings: The writer's settings.
        live: The live file.
        counts: Counts errors.
        announcer: Tells the operator.
        files_lock: Held by other threads that change files.
        shared: The lock between processes; None for a file that is not shared.
        sync: Brings the live file to the disk before it is put away, where that is still to be done.

    Attributes:
        rotation: The rotated files.
        events: What is to be logged about rotations, once nobody waits for it.
    """

    def __init__(
        self,
        settings: FileSettings,
        live: LiveFile,
        counts: Counts,
        announcer: Announcer,
        files_lock: FilesLock,
        shared: SharedLock | None,
        sync: Callable[[], None],
    ) -> None:
        self.rotation = Rotation(live.path, settings, announcer)
        self.events: list[str] = []
        self._settings = settings
        self._live = live
        self._counts = counts
        self._announcer = announcer
        self._files_lock = files_lock
        self._shared = shared
        self._sync = sync
        self._packing = None if settings.compression == "none" else Packing(settings.compression)
        self._compressor = self._make_compressor()
        self._started = False

    def start(self) -> None:
        """Look at the rotated files, once; what lies among devices has none."""
        if not self._started and not self._live.is_among_devices:
            self._started = True
            self.rotation.start(time.time())
            if self._settings.compress_at_once and len(self.rotation.backups):
                self.compress()

    def open_live(self) -> None:
        """Open the live file, if it is not open.

        Raises:
            OSError: It cannot be opened.
        """
        if not self._live.is_open:
            self.start()
            self._live.open()
            self.rotation.live_opened()

    def be_current(self) -> None:
        """Open the file that the path names now: another program may have deleted or rotated the one that is open.

        Raises:
            OSError: It cannot be opened.
        """
        live = self._live
        if live.is_open:
            if live.is_current():
                return
            self.close_live()
            self.rotation.live_changed(time.time())
        self.open_live()

    def open_anew(self) -> None:
        """Close the live file and open what its path names now; to be called without the turn.

        Raises:
            OSError: It cannot be opened, or the lock between processes not be had.
        """
        with self._files_lock:
            self.close_live()
            self.open_live()

    def close_live(self) -> None:
        """Close the live file; an error that the system kept for this moment is counted and announced."""
        try:
            self._live.close()
        except OSError as error:
            self._counts.write_errors += 1
            path = self._live.path
            self._announcer.announce(f"close {path}", f"{path} could not be closed: {error}")

    def rotate(self) -> bool:
        """Rotate now; False where the file is empty or could not be put away.

        Raises:
            OSError: The file cannot be opened.
        """
        with self._shared or nullcontext():
            self.be_current()
            self._live.measure()
            return bool(self._live.size) and self.put_away(time.time())

    def rotate_if_due(self) -> bool:
        """Rotate where that is due by time; False where it is not, or could not be done.

        Raises:
            OSError: The file cannot be opened.
        """
        with self._shared or nullcontext():
            self.be_current()
            self._live.measure()
            now = time.time()
            return self.rotation.due(self._live.size, 0, now) and self.put_away(now)

    def put_away(self, now: float) -> bool:
        """Put the live file away, with the lock between processes, and open a new one; False where it had to stay.

        Args:
            now: Seconds since 1970.

        Raises:
            OSError: The new file cannot be opened.
        """
        live = self._live
        self._sync()
        rotated = self.rotation.rotate(live, now)
        if rotated and self._settings.log_rotation_events:
            self.events.append(f"{live.path} was rotated; {len(self.rotation.backups)} rotated files are kept")
        if rotated or not live.is_current():
            self.close_live()
        if live.is_open:
            live.measure()
        else:
            live.open()
        if rotated and self._settings.compress_at_once:
            self.compress()  # at the end: a signal handler that raises while a thread begins stops nothing else
        return rotated

    def clean(self) -> int:
        """Delete rotated files that are too many, too old or too much; returns how many.

        Raises:
            OSError: The folder could not be read.
        """
        if self._live.is_among_devices:
            return 0
        self.start()
        with self._shared or nullcontext():
            return len(self.rotation.clean(time.time()))

    def surplus(self) -> list[str]:
        """The rotated files beyond the number that is kept, the oldest first, as the folder has them.

        Raises:
            OSError: The folder could not be read.
        """
        if self._live.is_among_devices:
            return []
        return [str(path) for path in self.rotation.surplus(time.time())]

    def compress(self) -> None:
        """Have the rotated files compressed that are not yet."""
        if self._compressor is not None:
            self._compressor.wake()

    def is_due(self, extra: int) -> bool:
        """True where the live file has to be rotated before `extra` more bytes, as the standard library sees it.

        Raises:
            OSError: The file cannot be opened.
        """
        self.open_live()
        size, limit = self._live.size, self._settings.max_bytes
        full = size and limit and size + extra >= limit
        return self._live.is_regular and bool(full or time.time() >= self.rotation.due_at)

    def close(self) -> None:
        """Close the live file, and bring the names of the rotated ones to the disk."""
        self.close_live()
        self.rotation.close()

    def end(self, timeout: float) -> None:
        """End the thread that compresses, in `timeout` seconds; to be called without the turn."""
        if self._compressor is not None:
            self._compressor.stop(timeout)

    def restart_after_fork(self, counts: Counts) -> None:
        """Begin anew in a child, which shares the open file and nothing else."""
        self._counts = counts
        self._compressor = self._make_compressor()
        self._started = False
        self.events.clear()

    def _make_compressor(self) -> Compressor | None:
        if self._packing is None:
            return None
        rotation = self.rotation
        return Compressor(
            rotation.backups,
            rotation.keeper,
            self._packing,
            self._files_lock,
            lambda: self._live.size,
            self._announcer,
        )

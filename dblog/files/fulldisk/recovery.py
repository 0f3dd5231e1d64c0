"""What happens between an error and the moment at which the file can be written again.

From the first error on, lines go to the fallback. A thread is started that makes room where that is the trouble, and
looks from time to time: is there enough free space, can the file be opened, does the disk take a test write? Then the
file is written again and the thread ends. Where no test can be made, as of a device, the next line is the test: the
file is degraded until it is written. Nobody who logs waits for any of this.
"""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from dblog import disk, durable
from dblog.files.fulldisk.disk_state import DiskState
from dblog.files.fulldisk.lastword import LastWord
from dblog.files.fulldisk.notify import StateChange
from dblog.files.opening import is_among_devices, open_file
from dblog.files.rotated.names import PROBE
from dblog.files.threads import Background
from dblog.selflog import Announcer

THREAD: Final = "dblog-files-recovery"
_SAMPLE: Final = bytes(64 * 1024)
_MAY_NOT_CREATE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NEEDS_NAMES: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""What file systems answer that have no files without a name."""


class Recovery:
    """Looks after one file that cannot be written.

    Args:
        path: The file.
        state: Its state.
        min_free: Bytes that have to be free after a full disk, or a twentieth of the file system where that is less.
        reopen: Opens the file anew, where it takes whatever lock it needs; raises OSError where it cannot be.
        make_room: Called once, with the error, where the disk was full and before anything is tried.
        tell: Told about changes of the state.
        announcer: Says them on stderr.
        fallback: Where records go meanwhile, in words.
        wait: Waits for an event, for so many seconds; True where it came.
    """

    def __init__(
        self,
        path: Path,
        state: DiskState,
        *,
        min_free: int,
        reopen: Callable[[], object],
        make_room: Callable[[OSError], object],
        tell: Callable[[StateChange], object],
        announcer: Announcer,
        fallback: str = "stderr",
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self.state = state
        self._path = path
        self._min_free = min_free
        self._reopen = reopen
        self._make_room = make_room
        self._tell = tell
        self._announcer = announcer
        self._fallback = fallback
        self._wait = wait
        self._closed = False
        self._made_room = False
        self._word = LastWord(announcer, f"state of {path}")
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begin anew in a child: the thread is the parent's. A degraded file is tried by whoever logs next."""
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._background = Background(self._run, THREAD, self._lock)
        if self.state.is_degraded:
            self.state.try_now()

    def failed(self, error: OSError) -> None:
        """The file could not be opened or written; never raises, may be called under the lock of the writer."""
        with self._lock:
            news = self.state.failed(error)
            tended = not self._closed and self._background.start()
            if news:
                self._say_degraded(error, may_wait=tended)

    def wrote(self) -> None:
        """A line is in the file; to be called where `state.failures` is not 0."""
        with self._lock:
            self.state.wrote()
            self._made_room = False
            if self.state.is_degraded:
                self._say_recovered(self.state.recovered())

    def diverts(self) -> bool:
        """True where a line has to go to the fallback without a try.

        A degraded file for which there is no thread (it is closed, none could be started, or only a line can tell) is
        tried by whoever logs first after the interval, and says so with `trying`.
        """
        state = self.state
        return state.is_degraded and (self._is_tended or state.until_next_try() > 0)

    @property
    def _is_tended(self) -> bool:
        return self._background.is_running and not self._closed

    def trying(self) -> None:
        """Whoever logs tries a degraded file, under the lock of the writer."""
        with self._lock:
            self.state.trying()

    def close(self, timeout: float) -> None:
        """End the thread, and wait for that so many seconds at most."""
        with self._lock:
            self._closed = True
            self._word.catch_up()
        self._stop.set()
        self._background.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._look():
                    return
            except Exception as error:  # noqa: BLE001 - without this thread nobody would look any more
                with self._lock:
                    self.state.postponed()
                text = f"unexpected {type(error).__name__} while looking after {self._path}: {error}"
                self._announcer.announce(f"recovery {self._path}", text)

    def _look(self) -> bool:
        """Make room where that is the trouble, wait, and try; True where this is over."""
        error = self.state.error
        if error is not None and self.state.is_full and not self._made_room:
            self._made_room = True
            self._make_room(error)
        pause, due_in = self.state.until_next_try(), self._word.due_in()
        if pause <= due_in:
            return self._wait(self._stop, pause) or self._try()
        stopped = self._wait(self._stop, max(0.0, due_in))
        with self._lock:
            self._word.catch_up()
        return stopped

    def _try(self) -> bool:
        with self._lock:
            self.state.trying()
        try:
            if self.state.is_full and not self._has_room():
                with self._lock:
                    self.state.postponed()
                return False
            self._reopen()
            tested = self._test_write()
        except OSError as error:
            with self._lock:
                self.state.failed(error)
            return False
        with self._lock:
            if tested and self.state.is_degraded:
                self._say_recovered(self.state.recovered())
            self._background.leave()  # with the state: whoever finds the next error starts the next thread
        return True

    def _has_room(self) -> bool:
        try:
            return disk.space(_folder(self._path)).beside(self._min_free) >= 0
        except OSError:  # no directory any more: opening the file makes it, or says why not
            return True

    def _test_write(self) -> bool:
        """Write to a file of its own, which has no name: nothing can stay behind. False where no test can be made."""
        kind = stat.S_IFMT(self._path.stat().st_mode)
        if is_among_devices(self._path) or kind != stat.S_IFREG:
            return kind == stat.S_IFIFO  # which could not have been opened if nobody read it
        try:
            fd = _open_nameless(self._path)
        except OSError as error:
            if error.errno in _MAY_NOT_CREATE:  # the log file alone is ours
                return False
            raise
        try:
            durable.write_all(fd, _SAMPLE)
            os.fsync(fd)
        finally:
            os.close(fd)
        return True

    def _say_degraded(self, error: OSError, *, may_wait: bool) -> None:
        state = self.state
        since = datetime.fromtimestamp(state.last_error_time or time.time()).astimezone().isoformat(timespec="seconds")
        reason = os.strerror(error.errno) if error.errno else str(error)
        self._word.began(
            f"{self._path} cannot be written since {since}: {reason} (error {state.error_count}); "
            f"records go to {self._fallback} until it can",
            may_wait=may_wait,
        )
        self._report("degraded", reason, 0.0)

    def _say_recovered(self, downtime: float) -> None:
        free = self._free_bytes()
        room = "" if free is None else f", {free / 1024 / 1024:,.1f} MiB are free"
        self._word.ended(f"{self._path} is written again after {downtime:.1f} s{room}")
        self._report("normal", "", downtime)

    def _report(self, state: Literal["degraded", "normal"], reason: str, downtime: float) -> None:
        change = StateChange(
            file=str(self._path),
            state=state,
            time=time.time(),
            reason=reason,
            error_count=self.state.error_count,
            free_bytes=self._free_bytes(),
            downtime_seconds=downtime,
        )
        self._tell(change)

    def _free_bytes(self) -> int | None:
        try:
            return disk.space(_folder(self._path)).free
        except OSError:  # it is a figure for the reader, no more
            return None


def _open_nameless(path: Path) -> int:
    """Open a new file for writing beside a log file; where each has to have a name, it is the one of a leftover."""
    folder = _folder(path)
    if hasattr(os, "O_TMPFILE"):
        try:
            return open_file(folder, os.O_WRONLY | os.O_TMPFILE)
        except OSError as error:
            if error.errno not in _NEEDS_NAMES:
                raise
    named = folder / f".{path.name}.{os.getpid()}{PROBE}"
    fd = open_file(named, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW)
    named.unlink(missing_ok=True)  # another process may have found it left over
    return fd


def _folder(path: Path) -> Path:
    """The directory that really has the file: its name may be a link to another disk."""
    return Path(os.path.realpath(path)).parent

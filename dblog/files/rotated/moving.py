"""Getting the live file out of the way: by rename where that is permitted, by a hook, or by copy and truncation."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from dblog.files.rotated import copying
from dblog.files.rotated.backups import Backups

if TYPE_CHECKING:
    from dblog.files.settings import FileSettings

_TRANSIENT: Final = (errno.EAGAIN, errno.EBUSY, errno.ETXTBSY)
_REFUSED: Final = (errno.EBUSY, errno.EPERM, errno.EACCES, errno.EXDEV)
"""What a rename answers where a copy may still do: the file is mounted by itself, the folder or the file's owner does
not let us rename it, or its new place, which a hook has named, is on another file system."""

Rotator = Callable[[str, str], object]


class Mover:
    """Puts a live file away, with further tries where what hinders it may pass.

    Args:
        path: The live file.
        settings: How many tries, and the seconds before the first; each waits twice as long as the one before.
        rotator: The standard library's hook: takes the live path and the one of the rotated file, and does the rest.
        sleep: Waits between two tries.

    Attributes:
        rotator: As above.
        operation: What was done last, for a message about its failure.
    """

    def __init__(
        self, path: Path, settings: "FileSettings", rotator: Rotator | None, sleep: Callable[[float], None]
    ) -> None:
        self.rotator = rotator
        self.operation = ""
        self._path = path
        self._refused = False
        self._retrying = Retrying(
            stop=stop_after_attempt(1 + settings.retry_attempts),
            wait=wait_exponential(multiplier=settings.retry_base_delay),
            retry=retry_if_exception(lambda error: isinstance(error, OSError) and error.errno in _TRANSIENT),
            sleep=sleep,
            reraise=True,
        )

    def put_away(self, backups: Backups, make_way: Callable[[], Path], make_room: Callable[[int], bool]) -> None:
        """Make the live file the newest of the rotated ones; a link is kept, and what it leads to is copied.

        Args:
            backups: The rotated files.
            make_way: Gives a free path for it.
            make_room: Asked whether so many bytes, of the live file and its copy, are within the total.

        Raises:
            OSError: It could not be done; every line is where it was, or in the copy that `copying.finish` knows.
        """
        self.operation = "rename older files"
        target = self._retrying(make_way)
        if self.rotator:
            self.operation = f"rotator of the application, to {target}"
            self._retrying(self.rotator, str(self._path), str(target))
        elif self._refused or self._path.is_symlink():
            self._copy(backups, target, make_room)
        else:
            self._rename(backups, target, make_room)
        backups.add(target)

    def _rename(self, backups: Backups, target: Path, make_room: Callable[[int], bool]) -> None:
        self.operation = f"rename to {target}"
        try:
            self._retrying(self._path.rename, target)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self._refused = error.errno == errno.EBUSY  # mounted by itself: each try would cost all the waiting
            self._copy(backups, target, make_room)

    def _copy(self, backups: Backups, target: Path, make_room: Callable[[int], bool]) -> None:
        self.operation = f"copy to {target}"
        if not make_room(2 * self._path.stat().st_size):
            raise OSError(errno.EDQUOT, "max_total_bytes leaves no room for a copy", str(target))
        self._retrying(copying.copy_and_truncate, backups.names, target)

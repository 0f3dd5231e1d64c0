"""The file that tells an operator that a log can no longer be rotated."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dblog import durable

NAME: Final = "ALERT_LOG_ROTATION_FAILED.txt"


class Alert:
    """An alert file, there while rotations fail.

    Args:
        path: Where it is written.
        live: The file that cannot be rotated.
    """

    def __init__(self, path: Path, live: Path) -> None:
        self._path = path
        self._live = live
        self._written = False

    def write(self, error: Exception, operation: str, next_try: float, now: float) -> None:
        """Write the file anew.

        Args:
            error: What was the matter.
            operation: What failed.
            next_try: Seconds until rotation is tried again.
            now: Seconds since 1970.

        Raises:
            OSError: It could not be written.
        """
        time = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        text = (
            f"The log file {self._live} could not be rotated.\n"
            f"time: {time}\noperation: {operation}\nerror: {error}\n"
            f"Logging goes on in the file, which grows. Rotation is tried again in {next_try:g} s.\n"
            "What to do: see that the folder can be written by the user of the program, that the disk has room, and "
            "that nothing\nholds the file. This alert is removed once a rotation has succeeded; one that a former run "
            "of the program has left\nmay be deleted.\n"
        )
        durable.replace(self._path, text.encode("utf-8", "backslashreplace"), fsync=False)
        self._written = True

    def remove(self) -> None:
        """Remove what was written here, if anything was.

        Raises:
            OSError: It could not be removed.
        """
        if self._written:
            self._path.unlink(missing_ok=True)
            self._written = False

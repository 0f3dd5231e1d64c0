"""What could not be read, kept for a human in one directory that all writers share."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dblog import durable
from dblog.sinks.frames import Damage
from dblog.sinks.segments import Segment, Trouble

_CHUNK: Final = 256 * 1024


class DamagedFiles:
    """The directory of damaged pieces and files, bounded: the oldest go first.

    Args:
        directory: Made when it is needed.
        max_bytes: What its files may take together; the newest one stays in any case.
        report: Told about each file that had to go.
    """

    def __init__(self, directory: Path, max_bytes: int, report: Callable[[Trouble], None]) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._report = report

    def keep_piece(self, segment: Segment, damage: Damage) -> Path:
        """Copy damaged bytes of a segment that is being read into a file of their own.

        Raises:
            OSError: They could not be read or written.
        """
        piece = self._place(segment, f"-{damage.offset}.part")
        end = damage.offset + damage.length
        fd = os.open(piece, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            for offset in range(damage.offset, end, _CHUNK):
                durable.write_all(fd, segment.read_bytes(offset, min(_CHUNK, end - offset)))
        except OSError:
            piece.unlink(missing_ok=True)  # the whole file will be kept instead
            raise
        finally:
            os.close(fd)
        self._shrink(piece)
        return piece

    def keep_file(self, segment: Segment) -> None:
        """Move the file of a segment here.

        Raises:
            OSError: It could not be moved.
        """
        segment.abandon()
        segment.move(self._place(segment, ".seg"))
        self._shrink(segment.path)

    def _place(self, segment: Segment, ending: str) -> Path:
        self.directory.mkdir(mode=0o750, exist_ok=True)
        return self.directory / f"{segment.path.parent.name}-{segment.path.stem}{ending}"

    def _shrink(self, newest: Path) -> None:
        """Delete the oldest files beyond the limit, but for `newest`."""
        files: list[tuple[float, int, Path]] = []
        for path in self.directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another writer does the same
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                excess -= size
                reason = f"{size} damaged bytes were deleted: more than {self._max_bytes} are not kept"
                self._report(Trouble(path, reason, {}))

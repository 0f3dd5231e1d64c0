"""A log file under rotation, with a clock of its own, for tests."""

import gzip
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dblog.files.livefile import LiveFile
from dblog.files.rotated.compression import Compressor
from dblog.files.rotated.packing import Packing
from dblog.files.rotated.rotation import Rotation
from dblog.files.settings import FileSettings
from dblog.selflog import Announcer

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC


class Heard(Announcer):
    """Keeps what is announced."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def announce(self, topic: str, text: str) -> bool:
        """Keep it."""
        self.said.append(text)
        return True


class Log:
    """A live file, its rotation, and what a writer does with both."""

    def __init__(
        self,
        folder: Path,
        *,
        namer: Callable[[str], str] | None = None,
        rotator: Callable[[str, str], object] | None = None,
        now: float = NOON,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.path = folder / "app.log"
        self.heard = Heard()
        self.slept: list[float] = []
        self.live = LiveFile(self.path)
        self.rotation = Rotation(
            self.path,
            FileSettings(filename=str(self.path), utc=True, **settings),
            self.heard,
            namer=namer,
            rotator=rotator,
            sleep=self.slept.append,
        )
        self.rotation.start(now)

    def write(self, text: str, now: float = NOON) -> bool:
        """Write a line as a writer does; False where there was no room for it."""
        line = text.encode() + b"\n"
        self.live.open()
        if self.rotation.due(self.live.size, len(line), now):
            self.rotate(now)
        room = self.rotation.keeper.room_for(self.live.size, len(line))
        if room:
            self.live.write([line])
        return room

    def rotate(self, now: float = NOON) -> bool:
        """Rotate now."""
        self.live.open()
        done = self.rotation.rotate(self.live, now)
        self.live.close()
        self.live.open()
        return done

    def close(self) -> None:
        """Let go of the file."""
        self.live.close()
        self.rotation.close()

    def names(self) -> list[str]:
        """The names of the rotated files, the oldest first."""
        return [backup.name for backup in self.rotation.backups]

    def lines(self) -> list[str]:
        """All lines of all files, the oldest first, as the folder has them."""
        self.rotation.backups.scan(datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None))
        return self.known_lines()

    def known_lines(self) -> list[str]:
        """All lines of all files that are known, the oldest first."""
        paths = [*(self.folder / name for name in self.names()), self.path]
        return [line for path in paths if path.exists() for line in unpacked(path).splitlines()]


class Compressed(Log):
    """A log with a compressor."""

    def __init__(self, folder: Path, packing: str = "gzip", **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.lock = threading.RLock()
        rotation = self.rotation
        self.compressor = Compressor(
            rotation.backups, rotation.keeper, Packing(packing), self.lock, lambda: self.live.size, self.heard
        )

    def put_away(self, *texts: str) -> None:
        """Rotate a file for each text."""
        for text in texts:
            self.write(text)
            self.rotate()

    def compress_all(self) -> None:
        """Compress everything here and now."""
        while self.compressor.compress_next():
            pass


def unpacked(path: Path) -> str:
    """What a file has, compressed or not."""
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def contents(folder: Path) -> dict[str, str]:
    """What each file has, unpacked, by its name."""
    return {path.name: unpacked(path) for path in folder.iterdir()}

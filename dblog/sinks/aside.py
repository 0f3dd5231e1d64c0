"""Rows that were set aside: first in the writer's own directory, and from there into `rejected/`, for a human.

While it is open whether a batch was committed, its refused rows are in `refused-KEY.seg` beside the segments. A single
rename makes `rejected/KEY.seg` of it, and one more a segment again. KEY is that of the batch, so doing a step twice
leaves one file.

The rows carry a key of their own under which they can be delivered one day: the writer is derived from the batch's
writer and number, the batches are counted from 1, and their birth day is the one on which they were set aside, from
which on the ledger will remember them.
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from dblog import durable
from dblog.batch import Batch, BatchKey, Rejected, derived_writer
from dblog.columns import COLUMN_NAMES
from dblog.defaults import LEDGER_KEEP_DAYS
from dblog.sinks import frames
from dblog.sinks.frames import Damage, Header
from dblog.sinks.layout import claim, find
from dblog.sinks.segments import Segment

_REFUSED: Final = "refused-"
_NAME: Final = re.compile(_REFUSED + r"(.+\.seg)")
_FRESH: Final = timedelta(days=LEDGER_KEEP_DAYS / 2)
"""The age up to which a birth day is kept: as long again is left for the database to come back, too."""
_TIMESTAMP: Final = COLUMN_NAMES.index("timestamp")
_LEVEL: Final = COLUMN_NAMES.index("level_no")


def file_name(key: BatchKey) -> str:
    """The name under which rows of a batch are kept in `rejected/`.

    Raises:
        ValueError: The key is none that a writer makes.
    """
    return f"{date.fromisoformat(key.birth_day)}-{UUID(key.writer_id).hex}-{int(key.seq)}.seg"


def refused_files(home: Path) -> dict[str, Path]:
    """The files of a writer's directory whose batch may not be committed, by the name they get in `rejected/`.

    Raises:
        OSError: The directory could not be read.
    """
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(home.iterdir()))
    return {match[1]: path for path, match in matches if match is not None}


class Aside:
    """Sets rows of one writer aside, and gives them back.

    Args:
        home: The writer's directory; must be there.
        rejected: The directory for a human; made when it is needed.
        header: The header of the writer's segments.
        today: Gives the current UTC day.
        fsync: Bring refused rows to the disk before their batch is committed.
    """

    def __init__(self, home: Path, rejected: Path, header: Header, *, today: Callable[[], str], fsync: bool) -> None:
        self._home = home
        self._rejected = rejected
        self._header = header
        self._today = today
        self._fsync = fsync
        self._kept: set[str] = set()

    def look(self) -> None:
        """Learn what is kept: the directory was taken just now; from here on nobody asks the disk about every batch.

        Raises:
            OSError: The directory could not be read.
        """
        self._kept = set(refused_files(self._home))

    def keep(self, batch: Batch, refused: Sequence[Rejected]) -> None:
        """Keep refused rows of `batch` until `confirm` or `discard`; replaces what was kept for it before.

        Raises:
            OSError: They could not be written; what was kept before is still there.
        """
        rows: dict[str, list[bytes]] = {}
        for each in refused:
            rows.setdefault(each.reason, []).append(each.row)
        self._write(batch, list(_regrouped(batch, rows, self._today())), fsync=self._fsync)

    def keep_all(self, batch: Batch, reason: str) -> None:
        """Keep all rows of `batch` in the same way, for one reason.

        Raises:
            OSError: They could not be written.
        """
        key = BatchKey(self._today(), _derived_writer(batch.key), 1)
        payload = _rekeyed(batch.payload.splitlines(keepends=True), key)
        whole = replace(batch, key=key, payload=payload, accepted=batch.rows, closing=True, reason=reason)
        self._write(batch, [whole], fsync=True)  # it was on the disk before

    def holds(self, name: str) -> bool:
        """True where something is kept under `name`."""
        return name in self._kept

    def confirm(self, name: str) -> None:
        """Move what is kept under `name` to `rejected/`, if there is something.

        Raises:
            OSError: It could not be moved.
        """
        if name in self._kept:
            self.move_in(self._home / f"{_REFUSED}{name}", name)
            self._kept.discard(name)

    def move_in(self, path: Path, name: str) -> None:
        """Make `path` the file `name` of `rejected/`, if it is there.

        Raises:
            OSError: It could not be moved.
        """
        if path.exists():
            self._rejected.mkdir(mode=0o750, exist_ok=True)
            path.rename(self._rejected / name)

    def confirm_all(self) -> None:
        """Move all that is kept to `rejected/`: no batch is left that it could belong to.

        Raises:
            OSError: Something could not be moved.
        """
        for name, path in refused_files(self._home).items():
            self.move_in(path, name)

    def hold(self, path: Path, name: str) -> None:
        """Take over what another writer kept, until `confirm` or `discard`.

        Raises:
            OSError: It could not be moved.
        """
        path.rename(self._home / f"{_REFUSED}{name}")
        self._kept.add(name)

    def discard(self, name: str) -> None:
        """Delete what is kept under `name`, if there is something.

        Raises:
            OSError: It could not be deleted.
        """
        if name in self._kept:
            (self._home / f"{_REFUSED}{name}").unlink(missing_ok=True)
            self._kept.discard(name)

    def take_back(self, path: Path) -> Segment:
        """Take a file of `rejected/`, under a fresh birth day if its own is too old: nothing was ever tried under that.

        It is here then as if its rows had just been refused: after a crash, and by `confirm`, it goes back.

        Raises:
            ValueError: It is for another target, or with columns or of a format that are not known.
            OSError: It is not there any more, or could not be moved or rewritten; it stays where it was.
        """
        with path.open("rb", buffering=0) as file:
            self._claim(file.fileno(), path)
        mine = self._home / f"{_REFUSED}{path.name}"
        if mine.exists():
            raise FileExistsError(errno.EEXIST, "refused rows of the same batch are still open", str(mine))
        self._kept.add(path.name)
        path.rename(mine)  # whoever else wanted it finds nothing from here on
        try:
            self._renew(mine)
            segment = find(mine, self._header)
            if segment is None:
                raise ValueError(f"{path} holds no rows that can be read")
        except (OSError, ValueError):
            mine.rename(path)
            raise
        return segment

    def _write(self, batch: Batch, parts: Sequence[Batch], *, fsync: bool) -> None:
        header = frames.make_header(self._header.target, batch.columns)
        data = header.line + b"".join(frames.encode(part, header) for part in parts)
        name = file_name(batch.key)
        self._kept.add(name)  # before: whatever interrupts this, there may be a file
        durable.replace(self._home / f"{_REFUSED}{name}", data, fsync=fsync)

    def _renew(self, path: Path) -> None:
        """Give old frames today as their birth day; what is damaged stays as it is."""
        today = date.fromisoformat(self._today())
        parts: list[bytes] = []
        renewed = False
        with path.open("rb", buffering=0) as file:
            fd = file.fileno()
            header = self._claim(fd, path)
            for found in frames.read(fd, header, os.fstat(fd).st_size):
                if isinstance(found, Damage):
                    parts.append(os.pread(fd, found.length, found.offset))
                    continue
                key = found.key
                if today - date.fromisoformat(key.birth_day) > _FRESH:
                    key = replace(key, birth_day=today.isoformat())
                    renewed = True
                parts.append(frames.encode(replace(found, key=key), header))
        if renewed:
            durable.replace(path, header.line + b"".join(parts), fsync=True)

    def _claim(self, fd: int, path: Path) -> Header:
        header = claim(fd, self._header)
        if header is None:
            raise ValueError(f"{path} holds rows for another database, schema or table prefix")
        return header


def _regrouped(batch: Batch, rows: Mapping[str, Sequence[bytes]], today: str) -> Iterator[Batch]:
    """One batch for each reason; the last one closes the derived writer."""
    writer_id = _derived_writer(batch.key)
    accepted = 0
    for seq, (reason, lines) in enumerate(rows.items(), 1):
        key = BatchKey(today, writer_id, seq)
        fields = [line.split(b"\t", _LEVEL + 1) for line in lines]
        stamps = [field[_TIMESTAMP] for field in fields]
        accepted += len(lines)
        yield Batch(
            key=key,
            payload=_rekeyed(lines, key),
            levels=Counter(int(field[_LEVEL]) for field in fields),
            time_from=min(stamps).decode(),
            time_to=max(stamps).decode(),
            accepted=accepted,
            closing=seq == len(rows),
            columns=batch.columns,
            reason=reason,
        )


def _rekeyed(lines: Sequence[bytes], key: BatchKey) -> bytes:
    """Rows with another writer and number in their first two fields."""
    prefix = f"{key.writer_id}\t{key.seq}\t".encode()
    return b"".join(prefix + line.split(b"\t", 2)[2] for line in lines)


def _derived_writer(key: BatchKey) -> str:
    return derived_writer(UUID(key.writer_id), key.seq).hex

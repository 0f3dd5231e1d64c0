"""The last resort: records that nothing else can take, one escaped line each, on stderr."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from dblog.batch import Batch, Rejected
from dblog.columns import LOG_COLUMNS
from dblog.selflog import write_lines

_NAMES: Final = [column.name for column in LOG_COLUMNS]
_SHOWN: Final = [_NAMES.index(name) for name in ("timestamp", "level", "logger_name", "message")]
_EXCEPTION: Final = _NAMES.index("exception")
_LEVEL_NO: Final = _NAMES.index("level_no")


class StderrSink:
    """Prints encoded rows.

    Args:
        console_level: Records from this level on stand on the console already and are not printed again;
            None where there is no console.
    """

    def __init__(self, console_level: int | None = None) -> None:
        self._console_level = console_level
        self._stalled = False

    def print_rows(self, rows: Iterable[bytes], *, seconds: float, refused: str = "") -> list[bytes]:
        """Print rows within `seconds`; returns those that could not be written.

        After a stall no further time is spent on waiting, until stderr takes lines again.

        Args:
            rows: Encoded rows.
            seconds: How long that may take.
            refused: Why PostgreSQL refused them, for the operator; they are printed even if the console has them.
        """
        deadline = time.monotonic() + (0.0 if self._stalled else seconds)
        remaining = list(rows)
        for index, row in enumerate(remaining):
            line = self._line(row, refused)
            if line and write_lines(line, deadline) < len(line):
                self._stalled = True
                return remaining[index:]
        self._stalled = False
        return []

    def print_batch(self, batch: Batch, *, seconds: float) -> Counter[int]:
        """Print the rows of a batch within `seconds`; returns those that could not be written, by level number."""
        rows = batch.payload.splitlines(keepends=True)
        return Counter(map(level_of, self.print_rows(rows, seconds=seconds)))

    def print_rejected(self, rejected: Iterable[Rejected], *, seconds: float) -> Counter[int]:
        """Print refused rows with their reasons, within `seconds` each; returns those that could not be written."""
        each_left = (self.print_rows([each.row], seconds=seconds, refused=each.reason) for each in rejected)
        return Counter(level_of(row) for left in each_left for row in left)

    def _line(self, row: bytes, refused: str) -> bytes:
        fields = row.decode().rstrip("\n").split("\t")
        if not refused and self._console_level is not None and int(fields[_LEVEL_NO]) >= self._console_level:
            return b""
        shown = [fields[index] for index in _SHOWN]
        if fields[_EXCEPTION] != "\\N":
            shown.append(fields[_EXCEPTION])
        text = " ".join(shown)
        if not text.isprintable():
            text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        label = f"refused, {refused}" if refused else "not stored"
        return f"dblog: {label}: {text}\n".encode()


def level_of(row: bytes) -> int:
    """The level number of an encoded row."""
    return int(row.split(b"\t", _LEVEL_NO + 1)[_LEVEL_NO])

"""The figures of one writer of log files, and what they are counted in."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from dblog.files.fulldisk.emergency import EmergencyCleanup
from dblog.files.fulldisk.fallback import Fallback
from dblog.files.rotated.rotation import Rotation

FileState = Literal["normal", "degraded", "closed"]


@dataclass(frozen=True, slots=True)
class FileMetrics:
    """What one writer did since it was made, in this process.

    Every line that was given is in one of `lines_written`, `fallback_lines`, `lost_lines`, `dropped_messages` and
    `waiting_lines`.
    """

    bytes_written: int
    """Bytes that went into the file, byte order marks included."""
    lines_written: int
    """Lines that went into the file."""
    write_errors: int
    """Times that opening, writing, syncing or closing the file failed."""
    flush_count: int
    """Times that waiting lines were written."""
    rotation_count: int
    """Files that were rotated."""
    buffer_overflows: int
    """Times that a line found no room in the buffer and had to wait, or was dropped."""
    dropped_messages: int
    """Lines that were dropped because the buffer had no room, with `overflow="drop"`."""
    avg_write_latency_us: float
    """Microseconds of a write to the file; 0 where there was none."""
    avg_flush_latency_us: float
    """Microseconds from the taking of waiting lines to the end of their write, rotation included; 0 without any."""
    uptime_seconds: float
    """Seconds since the writer was made."""
    state: FileState
    waiting_lines: int
    """Lines in the buffer."""
    fallback_lines: int
    """Lines that went to the fallback stream, or stood on the console already."""
    lost_lines: int
    """Lines that neither the file nor the fallback stream took."""
    refused_lines: int
    """Lines of these two that the file did not take because `max_total_bytes` left no room."""
    trimmed_files: int
    """Rotated files that were deleted because they were too many, too old or, together, too large."""
    trimmed_bytes: int
    """Bytes of these."""
    removed_files: int
    """Rotated files that an emergency clean-up deleted."""
    removed_lines: int
    """Lines that an emergency clean-up deleted, with rotated files and from the live one."""
    removed_bytes: int
    """Bytes of both."""


@dataclass(slots=True)
class Counts:
    """What a writer counts while it works, under its lock; `overflows` and `dropped` also without it."""

    bytes_written: int = 0
    lines_written: int = 0
    write_errors: int = 0
    writes: int = 0
    write_seconds: float = 0.0
    flushes: int = 0
    flush_seconds: float = 0.0
    overflows: int = 0
    dropped: int = 0
    refused: int = 0
    started: float = field(default_factory=monotonic)

    def wrote(self, lines: int, size: int, seconds: float) -> None:
        """Count a write to the file."""
        self.lines_written += lines
        self.bytes_written += size
        self.writes += 1
        self.write_seconds += seconds

    def flushed(self, seconds: float) -> None:
        """Count the writing of what waited."""
        self.flushes += 1
        self.flush_seconds += seconds

    def snapshot(
        self, *, state: FileState, waiting: int, rotation: Rotation, fallback: Fallback, cleanup: EmergencyCleanup
    ) -> FileMetrics:
        """The figures now."""
        return FileMetrics(
            bytes_written=self.bytes_written,
            lines_written=self.lines_written,
            write_errors=self.write_errors,
            flush_count=self.flushes,
            rotation_count=rotation.rotation_count,
            buffer_overflows=self.overflows,
            dropped_messages=self.dropped,
            avg_write_latency_us=1e6 * self.write_seconds / self.writes if self.writes else 0.0,
            avg_flush_latency_us=1e6 * self.flush_seconds / self.flushes if self.flushes else 0.0,
            uptime_seconds=monotonic() - self.started,
            state=state,
            waiting_lines=waiting,
            fallback_lines=fallback.printed + fallback.shown,
            lost_lines=fallback.lost,
            refused_lines=self.refused,
            trimmed_files=rotation.keeper.removed_files,
            trimmed_bytes=rotation.keeper.removed_bytes,
            removed_files=cleanup.removed_files,
            removed_lines=cleanup.removed_lines,
            removed_bytes=cleanup.removed_bytes,
        )

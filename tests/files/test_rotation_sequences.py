"""Whatever comes in whatever order: no line is lost, doubled, or moved before an earlier one."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rotating import NOON, Compressed

from dblog.files.settings import Naming

NAMINGS: tuple[Naming, ...] = ("index", "timestamp", "date")


class Sequences(RuleBasedStateMachine):
    """A log that is written, rotated, compressed and restarted, under a clock that is set forth and back."""

    @initialize(naming=st.sampled_from(NAMINGS), max_bytes=st.sampled_from([1, 30, 200]))
    def begin(self, naming: Naming, max_bytes: int) -> None:
        """Begin with an empty folder."""
        self.folder = tempfile.TemporaryDirectory()
        self.naming, self.max_bytes = naming, max_bytes
        self.now = self.latest = NOON
        self.expected: list[str] = []
        self.log = self.open()

    def open(self) -> Compressed:
        """A new process."""
        return Compressed(
            Path(self.folder.name),
            naming=self.naming,
            max_bytes=self.max_bytes,
            backup_count=100_000,
            when="HOURLY",
            now=self.now,
        )

    @rule(length=st.integers(0, 60))
    def write(self, length: int) -> None:
        """Write a line."""
        line = f"{len(self.expected)} {'x' * length}"
        assert self.log.write(line, self.now)
        self.expected.append(line)

    @rule()
    def rotate(self) -> None:
        """Rotate what is there."""
        assert self.log.rotate(self.now)

    @rule()
    def compress(self) -> None:
        """Compress one file."""
        self.log.compressor.compress_next()

    @rule(seconds=st.sampled_from([-70_000.0, -3600.0, -1.0, 0.1, 1.0, 3600.0, 86_400.0]))
    def set_the_clock(self, seconds: float) -> None:
        """Let time pass, or set the clock back: never a day behind what it has shown."""
        self.now = max(self.now + seconds, self.latest - 80_000.0)
        self.latest = max(self.now, self.latest)

    @rule()
    def restart(self) -> None:
        """End the process and begin another one; the clock has caught up meanwhile."""
        self.log.close()
        self.now = self.latest
        self.log = self.open()

    @rule(name=st.sampled_from(["app.log.bak", "app.log.2.orig", "app-1.log", "app.log2"]))
    def put_a_foreign_file(self, name: str) -> None:
        """Put a file there that is not ours."""
        (self.log.folder / name).write_text("foreign")

    @invariant()
    def every_line_is_there_once_and_in_order(self) -> None:
        """What was written is what is there."""
        if hasattr(self, "log"):
            assert self.log.known_lines() == self.expected

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "log"):
            self.log.close()
            foreign = [path for path in self.log.folder.glob("app*") if path.name in ("app.log.bak", "app-1.log")]
            assert all(path.read_text() == "foreign" for path in foreign)
            self.folder.cleanup()


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)

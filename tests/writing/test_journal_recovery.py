"""What a killed process leaves: every row whose call returned is there, once, and nothing else."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import journals
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dblog.batch import Batch
from dblog.defaults import LEDGER_KEEP_DAYS
from dblog.sinks import frames
from dblog.sinks.recovery import recover

TODAY = datetime.now(UTC).date().isoformat()
ROW = journals.WRITER.encode()

actions = st.lists(
    st.one_of(st.just("take"), st.tuples(st.integers(0, 400), st.sampled_from([5, 10, 20, 40, 100, 12345]))),
    max_size=30,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of this example alone."""
    with TemporaryDirectory() as name:
        yield Path(name)


def written(steps: list[str | tuple[int, int]]) -> bytes:
    """A journal's file after some lines and batches, as it is while the process lives."""
    with TemporaryDirectory() as name:
        journal = journals.make_journal(Path(name))
        queue = journals.make_queue(journal, batch_size=4)
        queue.append(journals.line(0))
        for number, step in enumerate(steps, 1):
            if isinstance(step, str):
                queue.take(1, 1)
            else:
                queue.append(journals.line(number, level=step[1], width=step[0]))
        data = journals.files(Path(name))[0].read_bytes()
        journal.abandon()
    return data


def acknowledged(data: bytes) -> list[bytes]:
    """The rows of a cut file: one whose end is not there was never acknowledged."""
    lines = data.splitlines(keepends=True)
    return [line for line in lines if line.startswith(ROW) and line.endswith(b"\n")]


def check_recovered(path: Path, expected: list[bytes]) -> None:
    """Recover a file, twice, and find the expected rows in whole frames with figures that are right."""
    assert recover(path, TODAY) is bool(expected)
    once = path.read_bytes()
    assert recover(path, TODAY) is bool(expected)
    assert path.read_bytes() == once
    found = journals.batches(path)
    assert journals.rows(*found) == expected
    for batch in found:
        mine = journals.rows(batch)
        prefix = f"{batch.key.writer_id}\t{batch.key.seq}\t".encode()
        assert all(row.startswith(prefix) for row in mine)
        assert sorted(int(row.split(b"\t")[3]) for row in mine) == sorted(
            level for level, count in batch.levels.items() for _ in range(count)
        )
        stamps = [row.split(b"\t")[2].decode() for row in mine]
        assert (batch.time_from, batch.time_to) == (min(stamps), max(stamps))
    assert [batch.key.seq for batch in found] == list(range(1, len(found) + 1))
    assert not found or found[-1].accepted >= len(expected)


@given(steps=actions, data=st.data())
@settings(max_examples=100)
def test_every_acknowledged_row_is_there_once(steps: list[str | tuple[int, int]], data: st.DataObject) -> None:
    """A file that ends at any byte gives, when it was recovered, each row that was whole, and no torn one."""
    whole = written(steps)
    cut = data.draw(st.integers(len(journals.HEADER.line), len(whole)))
    with TemporaryDirectory() as name:
        path = Path(name) / "00000001.journal"
        path.write_bytes(whole[:cut])
        check_recovered(path, acknowledged(whole[:cut]))


@given(steps=actions, data=st.data())
def test_recovery_may_be_killed_at_any_byte(steps: list[str | tuple[int, int]], data: st.DataObject) -> None:
    """Where recovery itself was killed while it wrote the footer, the next one finishes the same frame."""
    whole = written(steps)
    whole = whole[: data.draw(st.integers(len(journals.HEADER.line), len(whole)))]
    with TemporaryDirectory() as name:
        path = Path(name) / "00000001.journal"
        path.write_bytes(whole)
        recover(path, TODAY)
        done = path.read_bytes()
        same = next((place for place, (a, b) in enumerate(zip(whole, done, strict=False)) if a != b), len(done))
        progress = data.draw(st.integers(min(same, len(done)), len(done)))
        path.write_bytes(done[:progress] + whole[progress:])
        check_recovered(path, acknowledged(whole))


def test_any_cut_of_the_header_is_left_to_the_reader(folder: Path) -> None:
    """A file that was cut within its header stays as it is; an empty one, or one without rows, may go."""
    path = folder / "00000001.journal"
    header = journals.HEADER.line
    for size in range(len(header) + 1):
        path.write_bytes(header[:size])
        assert recover(path, TODAY) is (0 < size < len(header))
        assert path.read_bytes() == header[:size]


def test_rows_behind_damage_are_kept_for_a_human(folder: Path) -> None:
    """Rows that a crash of the machine left behind a hole are not thrown away, and those before it are delivered."""
    path = folder / "00000001.journal"
    good = b"".join(f"{journals.WRITER}\t1\t".encode() + journals.line(number) for number in range(6))
    third = len(good) // 3
    path.write_bytes(journals.HEADER.line + good[:third] + bytes(third) + good[2 * third :])
    assert recover(path, TODAY)
    first, damage = journals.read(path)
    assert isinstance(first, Batch)
    assert journals.rows(first) == good[:third].splitlines(keepends=True)
    assert path.read_bytes().endswith(bytes(third) + good[2 * third :])
    before = path.read_bytes()
    assert recover(path, TODAY)
    assert path.read_bytes() == before
    assert isinstance(damage, frames.Damage)


@pytest.mark.parametrize("columns", [["message", "timestamp"], ["writer_id", "batch_seq", "timestamp", "text"]])
def test_other_layouts_are_left_alone(folder: Path, columns: list[str]) -> None:
    """A file whose rows do not begin as ours stays as it is."""
    path = folder / "00000001.journal"
    row = f"{journals.WRITER}\t1\t".encode() + journals.line(1)
    path.write_bytes(frames.make_header("here", columns).line + row + b"torn")
    before = path.read_bytes()
    assert recover(path, TODAY)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("age", "kept"), [(0, True), (3, True), (LEDGER_KEEP_DAYS + 1, False), (-5, False)])
def test_the_batch_is_born_on_the_day_of_the_last_write(folder: Path, age: int, kept: bool) -> None:
    """The day is that of the last write, as long as the ledger remembers it, and else today."""
    path = folder / "00000001.journal"
    path.write_bytes(journals.HEADER.line + f"{journals.WRITER}\t7\t".encode() + journals.line(1))
    now = datetime.now(UTC)
    moment, today = now - timedelta(days=age), now.date().isoformat()
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    assert recover(path, today)
    (batch,) = journals.batches(path)
    assert batch.key.birth_day == (moment.date().isoformat() if kept else today)
    assert (batch.key.seq, batch.accepted, batch.rows) == (7, 1, 1)

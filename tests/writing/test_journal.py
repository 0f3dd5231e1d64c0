"""The journal: a line is in a file before `append` returns, and stays there until somebody else owns its batch."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import journals
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.batch import BatchKey
from dblog.sinks.journal import Journal
from dblog.writing.journalqueue import RETRY_SECONDS, JournalQueue
from dblog.writing.linequeue import LINE_OVERHEAD


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal of small files in `tmp_path`."""
    made = journals.make_journal(tmp_path, max_bytes=4096)
    yield made
    made.abandon()


@pytest.fixture
def queue(journal: Journal) -> JournalQueue:
    """A queue of batches of 10 lines in front of `journal`."""
    return journals.make_queue(journal)


def test_a_line_is_in_the_file_before_append_returns(queue: JournalQueue, tmp_path: Path) -> None:
    """Each line can be read back from the file at once, with its writer and batch in front."""
    for number in range(25):
        queue.append(journals.line(number))
        row = f"{journals.WRITER}\t{number // 10 + 1}\t".encode() + journals.line(number)
        assert row in journals.files(tmp_path)[0].read_bytes()


def test_a_frame_is_closed_before_its_batch_is_taken(queue: JournalQueue, tmp_path: Path) -> None:
    """What `take` gives is in the file, footer and all, as the same batch, also where it was not full."""
    for number in range(25):
        queue.append(journals.line(number))
    taken = journals.take_all(queue)
    assert [batch.rows for batch in taken] == [10, 10, 5]
    found = journals.read(journals.files(tmp_path)[0])
    assert found[:3] == taken
    assert queue.take(1, 1) is None
    assert (len(queue), queue.taken, queue.levels().total()) == (0, 25, 0)


@given(
    widths=st.lists(st.integers(50, 300), max_size=60),
    size=st.integers(1, 2000),
    takes=st.sets(st.integers(0, 60)),
)
def test_batches_hold_all_lines_in_order(
    tmp_path_factory: pytest.TempPathFactory, widths: list[int], size: int, takes: set[int]
) -> None:
    """Whenever batches are taken, they are what was appended, in order, and none goes on when it is full."""
    journal = journals.make_journal(tmp_path_factory.mktemp("journal"))
    queue = journals.make_queue(journal, batch_bytes=size)
    lines = [journals.line(number, width=width) for number, width in enumerate(widths)]
    taken = []
    for number, each in enumerate(lines):
        queue.append(each)
        queue.publish(len(each) + LINE_OVERHEAD)
        if number in takes and (batch := queue.take(1, 1)) is not None:
            taken.append(batch)
    assert len(queue) + queue.taken == queue.levels().total() + queue.taken == len(lines)
    taken += journals.take_all(queue)
    journal.abandon()
    assert [row.split(b"\t", 2)[2] for row in journals.rows(*taken)] == lines
    assert [batch.key.seq for batch in taken] == list(range(1, len(taken) + 1))
    for batch in taken:
        mine = [row.split(b"\t", 2)[2] for row in journals.rows(batch)]
        assert len(mine) <= 10
        assert sum(map(len, mine[:-1])) < size
    assert (len(queue), queue.size, queue.taken) == (0, 0, len(lines))


def test_the_closing_batch_comes_after_all_others(queue: JournalQueue) -> None:
    """The closing batch has a number of its own and says how many lines there were in all."""
    for number in range(3):
        queue.append(journals.line(number))
    closing = queue.closing_batch()
    queue.append(journals.line(3))
    first, later = journals.take_all(queue)
    assert (first.key.seq, closing.key.seq, later.key.seq) == (1, 2, 3)
    assert (closing.closing, closing.rows, closing.accepted) == (True, 0, 3)
    assert journals.rows(later)[0].startswith(f"{journals.WRITER}\t3\t".encode())


def test_files_go_when_all_of_their_batches_are_settled(queue: JournalQueue, tmp_path: Path) -> None:
    """`sync` deletes a full file once its last batch was settled, in whatever order; `close` deletes the last file."""
    for number in range(100):
        queue.append(journals.line(number, width=200))
    taken = journals.take_all(queue)
    assert len(journals.files(tmp_path)) == 5
    assert [batch for path in journals.files(tmp_path)[:-1] for batch in journals.read(path)[:2]] == taken[:8]
    for batch in reversed(taken[1:]):
        queue.journal.settle(batch.key)
    queue.journal.settle(BatchKey("2026-11-21", "f" * 32, 1))  # that of another writer
    queue.journal.sync()
    assert [path.name for path in journals.files(tmp_path)] == ["00000001.journal", "00000005.journal"]
    queue.journal.settle(taken[0].key)
    queue.journal.close()
    assert journals.files(tmp_path) == []


def test_what_is_not_settled_is_left_at_the_end(queue: JournalQueue, tmp_path: Path) -> None:
    """`close` leaves batches that nobody took or settled, in files without anything behind them."""
    for number in range(12):
        queue.append(journals.line(number))
    first = queue.take(1, 1)
    assert first is not None
    queue.journal.close()
    second = queue.take(1, 1)
    assert second is not None
    assert journals.batches(journals.files(tmp_path)[0]) == [first, second]
    queue.journal.settle(first.key)
    queue.journal.settle(second.key)
    queue.journal.close()
    assert journals.files(tmp_path) == []


def test_after_the_end_lines_are_taken_without_the_journal(queue: JournalQueue, tmp_path: Path) -> None:
    """What is logged after `close` makes a batch as ever, leaves nothing on disk and is no trouble."""
    queue.append(journals.line(1))
    queue.journal.close()
    queue.append(journals.line(2))
    taken = journals.take_all(queue)
    assert [journals.number_of(row) for row in journals.rows(*taken)] == [1, 2]
    assert journals.batches(journals.files(tmp_path)[0]) == taken[:1]


def test_a_new_file_is_begun_after_an_hour(tmp_path: Path) -> None:
    """A file that is older than its time takes no new frame, so that it can be deleted."""
    now = [0.0]
    journal = journals.make_journal(tmp_path, max_age=3600.0, clock=lambda: now[0])
    queue = journals.make_queue(journal)
    for hour in (0, 0, 1, 1, 2):
        now[0] = 3600.0 * hour
        queue.append(journals.line(hour))
        journals.take_all(queue)
    assert [len(journals.read(path)) - 1 for path in journals.files(tmp_path)] == [2, 2, 1]
    journal.abandon()


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_deleted_file_is_replaced(tmp_path: Path, what: str) -> None:
    """When somebody deletes the file or its directory, `sync` says so, and the next line is in a new file."""
    journal = journals.make_journal(tmp_path)
    queue = journals.make_queue(journal)
    queue.append(journals.line(1))
    if what == "file":
        journals.files(tmp_path)[0].unlink()
    else:
        shutil.rmtree(tmp_path / journals.WRITER)
    with pytest.raises(FileNotFoundError, match="deleted"):
        journal.sync()
    queue.append(journals.line(2))
    journal.sync()
    taken = journals.take_all(queue)
    assert [journals.number_of(row) for row in journals.rows(*taken)] == [1, 2]
    journal.close()
    assert [journals.batches(path) for path in journals.files(tmp_path)] == [taken[1:]]


def test_the_journal_is_tried_again_after_a_second(tmp_path: Path) -> None:
    """While the journal fails lines wait in memory in batches of their own, and each second brings one new try."""
    now, refused, troubles = [0.0], [True], list[OSError]()

    def make_home() -> None:
        if refused[0]:
            raise PermissionError("not now")
        (tmp_path / journals.WRITER).mkdir(exist_ok=True)

    journal = journals.make_journal(tmp_path, make_home=make_home)
    queue = journals.make_queue(journal, trouble=troubles.append, clock=lambda: now[0])
    for number in range(4):
        queue.append(journals.line(number))
    assert len(troubles) == 1
    now[0] += RETRY_SECONDS
    queue.append(journals.line(4))
    assert len(troubles) == 2
    refused[0] = False
    queue.append(journals.line(5))
    now[0] += RETRY_SECONDS
    queue.append(journals.line(6))
    taken = journals.take_all(queue)
    assert [journals.number_of(row) for row in journals.rows(*taken)] == list(range(7))
    journal.close()
    assert journals.batches(journals.files(tmp_path)[0]) == taken[-1:]
    assert len(troubles) == 2

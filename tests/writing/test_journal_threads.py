"""The journal under many threads, signal handlers and forks."""

import os
import threading
from pathlib import Path

import journals
import pytest


@pytest.mark.parametrize("fsync", ["never", "interval", "always"])
def test_many_threads_lose_nothing(tmp_path: Path, fsync: str) -> None:
    """What many threads append while one takes is in the batches and in the files, each line once."""
    journal = journals.make_journal(tmp_path, fsync=fsync, fsync_interval=0.001)
    queue = journals.make_queue(journal, batch_size=97)
    count = 50 if fsync == "always" else 1000

    def log(thread: int) -> None:
        for number in range(count):
            queue.append(journals.line(thread * 10_000 + number))

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(16)]
    for thread in threads:
        thread.start()
    taken = []
    while any(thread.is_alive() for thread in threads) or queue:
        if (batch := queue.take(1, 1)) is not None:
            taken.append(batch)
        journal.sync()
    journal.close()
    assert [batch for path in journals.files(tmp_path) for batch in journals.batches(path)] == taken
    numbers = [journals.number_of(row) for row in journals.rows(*taken)]
    assert sorted(numbers) == [thread * 10_000 + number for thread in range(16) for number in range(count)]
    for start in range(0, 160_000, 10_000):
        mine = [number for number in numbers if start <= number < start + 10_000]
        assert mine == sorted(mine)


def test_a_line_that_comes_while_a_frame_is_closed_is_in_the_file_at_once(tmp_path: Path) -> None:
    """A signal handler that logs while its thread takes a batch finds its line in the file when that is done."""
    journal = journals.make_journal(tmp_path)

    def log_another() -> str:
        interrupted.append(journals.line(2))
        return "2026-11-21"

    interrupted = journals.make_queue(journal, today=log_another)
    interrupted.append(journals.line(1))
    taken = interrupted.take(1, 1)
    assert taken is not None
    assert journals.rows(taken) == [f"{journals.WRITER}\t1\t".encode() + journals.line(1)]
    assert f"{journals.WRITER}\t2\t".encode() + journals.line(2) in journals.files(tmp_path)[0].read_bytes()
    journal.abandon()


def test_a_signal_handler_does_not_wait_for_room_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    """Where the queue is full, whoever interrupted the thread that closes a frame is told so without waiting."""
    journal = journals.make_journal(tmp_path)
    told = []

    def wait() -> str:
        told.append(interrupted.wait_for_room(1000.0))
        return "2026-11-21"

    interrupted = journals.make_queue(journal, today=wait)
    interrupted.append(journals.line(1))
    interrupted.publish(2**30)
    assert interrupted.take(1, 1) is not None
    assert told == [False]
    journal.abandon()


def test_a_forked_child_leaves_the_journal_alone(tmp_path: Path) -> None:
    """A child that abandons the journal has none of its files open, and its parent goes on writing."""
    journal = journals.make_journal(tmp_path)
    queue = journals.make_queue(journal)
    queue.append(journals.line(1))
    child = os.fork()
    if child == 0:
        journal.abandon()
        opened = sum(_is_journal(fd) for fd in range(256))
        os._exit(opened)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queue.append(journals.line(2))
    taken = journals.take_all(queue)
    journal.close()
    assert journals.batches(journals.files(tmp_path)[0]) == taken
    assert len(journals.rows(*taken)) == 2


def _is_journal(fd: int) -> bool:
    try:
        return Path(f"/proc/self/fd/{fd}").readlink().suffix == ".journal"
    except OSError:
        return False

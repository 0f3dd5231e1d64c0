"""The queue: bounded in bytes, cut into batches, nothing lost and nothing twice."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from eventually import eventually
from hypothesis import given
from hypothesis import strategies as st

from dblog import DatabaseLogHandler
from dblog.batch import Batch
from dblog.locks import Lock
from dblog.writing.linequeue import LINE_OVERHEAD, RESERVE, LineQueue

STAMP = "2026-11-21 10:00:00.00000{}+00"


def line(number: int, level: int = 20, width: int = 0) -> bytes:
    """An encoded line: a timestamp, a level, and its number."""
    return f"{STAMP.format(number % 10)}\t{level}\tNAME\t{number}".ljust(width, "x").encode() + b"\n"


def put(queue: LineQueue, *lines: bytes) -> None:
    """Append lines and report their bytes."""
    for each in lines:
        queue.append(each)
    queue.publish(sum(map(len, lines)) + LINE_OVERHEAD * len(lines))


def take_all(queue: LineQueue, count: int, size: int) -> list[Batch]:
    """Take batches until the queue is empty."""
    batches = []
    while (batch := queue.take(count, size)) is not None:
        batches.append(batch)
    return batches


@given(
    widths=st.lists(st.integers(50, 300), max_size=40),
    count=st.integers(1, 20),
    size=st.integers(1, 2000),
)
def test_batches_hold_all_lines_in_order_within_their_limits(widths: list[int], count: int, size: int) -> None:
    """The batches together are what was appended, in order, each within both limits or of one line."""
    queue = LineQueue(1000)
    lines = [line(number, width=width) for number, width in enumerate(widths)]
    put(queue, *lines)
    batches = take_all(queue, count, size)
    found: list[bytes] = []
    for number, batch in enumerate(batches, 1):
        rows = batch.payload.splitlines(keepends=True)
        prefix = f"{queue.writer_id}\t{number}\t".encode()
        assert all(row.startswith(prefix) for row in rows)
        mine = [row.removeprefix(prefix) for row in rows]
        assert batch.rows == len(rows) <= count
        assert sum(map(len, mine)) <= size or len(mine) == 1
        found += mine
        assert batch.accepted == len(lines)
    assert found == lines
    assert (len(queue), queue.size, queue.taken) == (0, 0, len(lines))


@given(levels=st.lists(st.sampled_from([-5, 0, 5, 10, 20, 25, 40, 99, 100, 12345, 2**31 - 1]), min_size=1))
def test_levels_are_counted_whatever_their_width(levels: list[int]) -> None:
    """Custom levels of one digit or of many are counted like the standard ones."""
    queue = LineQueue(1000)
    put(queue, *(line(number, level) for number, level in enumerate(levels)))
    assert queue.levels() == Counter(levels)
    batch = queue.take(10_000, 10**9)
    assert batch is not None
    assert batch.levels == Counter(levels)


def test_a_batch_knows_its_time_range_and_day() -> None:
    """The smallest and the largest timestamp are found though records come out of order; the day is asked once."""
    queue = LineQueue(1000, today=lambda: "2026-11-22")
    put(queue, line(5), line(2), line(9))
    batch = queue.take(10, 1000)
    assert batch is not None
    assert (batch.time_from, batch.time_to) == (STAMP.format(2), STAMP.format(9))
    assert (batch.key.birth_day, batch.key.seq) == ("2026-11-22", 1)
    assert not batch.closing


def test_the_closing_batch_has_no_rows_and_the_next_number() -> None:
    """The batch that ends a writer says how many records were accepted in all."""
    queue = LineQueue(1000)
    put(queue, line(1), line(2))
    assert queue.take(10, 1000) is not None
    closing = queue.closing_batch()
    assert (closing.rows, closing.payload, closing.time_from, closing.key.seq) == (0, b"", None, 2)
    assert (closing.closing, closing.accepted) == (True, 2)
    assert queue.take(10, 1000) is None


def test_the_bound_is_in_bytes_with_a_reserve() -> None:
    """The queue is full at its bound, overfull beyond its reserve, and has room again when lines are taken."""
    queue = LineQueue(1000)
    queue.publish(999)
    states = [(queue.is_full, queue.is_overfull)]
    for more in (1, int(1000 * RESERVE) - 1000):
        queue.publish(more)
        states.append((queue.is_full, queue.is_overfull))
    assert states == [(False, False), (True, False), (True, True)]
    queue.append(b"x" * (1000 - LINE_OVERHEAD))
    queue._lines[0] = line(1, width=1000 - LINE_OVERHEAD - 1)
    assert queue.take(1, 1) is not None
    assert not queue.is_full


def test_who_waits_for_room_is_told() -> None:
    """A thread that waits for room goes on as soon as lines are taken, and is refused when its time is over."""
    queue = LineQueue(100)
    put(queue, line(1, width=200))
    assert not queue.wait_for_room(0.0)
    told: list[bool] = []
    waiting = threading.Thread(target=lambda: told.append(queue.wait_for_room(30.0)))
    waiting.start()
    assert queue.take(1, 1) is not None
    waiting.join(30)
    assert told == [True]


@contextmanager
def occupied(lock: Lock) -> Iterator[None]:
    """Have another thread hold a lock for the time of the block, which must not wait for it."""
    inside, leave = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def stay() -> None:
        lock.acquire()
        inside.set()
        in_time.append(leave.wait(30))
        lock.release()

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        assert inside.wait(30)
        yield
    finally:
        leave.set()
        thread.join(30)
    assert in_time == [True]


def test_reports_need_not_wait_for_each_other() -> None:
    """Who does not want to wait for another thread's report is told that its own was not made."""
    queue = LineQueue(1000)
    with occupied(queue._lock):
        assert not queue.publish(7, wait=False)
    assert queue.size == 0
    assert queue.publish(7, wait=False)
    assert queue.size == 7


def test_a_call_does_not_wait_for_other_threads(make_handler: Callable[..., DatabaseLogHandler]) -> None:
    """A call takes no lock: what it cannot report, because another thread is at the queue, a later one reports."""
    handler = make_handler("host=127.0.0.1 port=1", flush_interval=600)
    queue = handler._writer._queue
    logger = logging.Logger("app")
    logger.addHandler(handler)
    assert handler.lock is not None
    with occupied(queue._lock), occupied(handler._writer.worker._owner), occupied(handler.lock):
        for _ in range(30):
            logger.info("x" * 1000)  # nearly twice as much as is reported at a time
    assert (queue.size, len(queue)) == (0, 30)

    def reported() -> bool:
        logger.info("one more")
        return queue.size > 0

    eventually(reported, "a report")  # the worker itself may be at the queue for a moment
    assert queue.size == sum(len(each) + LINE_OVERHEAD for each in queue._lines)


def test_a_small_queue_is_told_in_time(
    make_handler: Callable[..., DatabaseLogHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy others are at a small queue, no thread keeps more than a quarter of its bound to itself."""
    handler = make_handler("host=127.0.0.1 port=1", flush_interval=600, queue_max_bytes=64 * 1024)
    reports: list[tuple[int, bool]] = []

    def refuse(size: int, *, wait: bool = True) -> bool:
        reports.append((size, wait))
        return False

    monkeypatch.setattr(handler._writer._queue, "publish", refuse)
    logger = logging.Logger("app")
    logger.addHandler(handler)
    for _ in range(20):
        logger.info("x" * 1000)
    assert reports
    assert all(wait == (size >= 16 * 1024) for size, wait in reports)


def test_many_threads_lose_nothing() -> None:
    """What many threads append while another one takes is taken, each line once."""
    queue, taken = LineQueue(10**6), Counter[bytes]()

    def log(thread: int) -> None:
        for number in range(2000):
            put(queue, line(thread * 10_000 + number))

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or queue:
        if (batch := queue.take(100, 10**6)) is not None:
            taken.update(row.rpartition(b"\t")[2] for row in batch.payload.splitlines())
    assert taken == Counter(str(thread * 10_000 + number).encode() for thread in range(8) for number in range(2000))
    assert queue.size == 0

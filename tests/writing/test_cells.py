"""Counting per thread without a lock."""

import threading
from collections import Counter

from dblog.writing.cells import MUTED, Cells


def count(cells: Cells, level: int, size: int = 0) -> None:
    """Count one record in the calling thread, as the handler does it."""
    cell = getattr(cells.local, "cell", None) or cells.new()
    cell.counts[level] = cell.counts.get(level, 0) + 1
    cell.size += size


def in_thread(work: object, *arguments: object) -> None:
    """Run something in a thread of its own, to its end."""
    assert callable(work)
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join()


def test_the_sum_holds_all_threads_living_and_dead() -> None:
    """The totals count every thread once, also those that have ended, and memory does not grow with their number."""
    cells = Cells(mute=lambda: False, publish=lambda size: None)
    count(cells, 20)
    for _ in range(100):
        in_thread(count, cells, 40)
    assert cells.totals() == Counter({20: 1, 40: 100})
    assert cells.totals() == Counter({20: 1, 40: 100})
    assert len(cells._living) == 1


def test_what_a_thread_had_not_reported_is_reported_at_its_end() -> None:
    """Bytes that a short-lived thread logged are published, or the bound of the queue would never be reached."""
    published: list[int] = []
    cells = Cells(mute=lambda: False, publish=published.append)
    for _ in range(10):
        in_thread(count, cells, 20, 300)
    cells.totals()
    assert sum(published) == 3000


def test_muted_threads_are_marked() -> None:
    """The cell of a thread that is not listened to says so from the beginning."""
    cells = Cells(mute=lambda: threading.current_thread() is not threading.main_thread(), publish=lambda size: None)
    depths: list[int] = []
    in_thread(lambda: depths.append(cells.new().depth))
    assert depths == [MUTED]
    assert cells.new().depth == 0


def test_counting_in_many_threads_is_exact() -> None:
    """While threads come and go and others ask for the totals, no count is lost."""
    cells = Cells(mute=lambda: False, publish=lambda size: None)

    def work() -> None:
        for _ in range(50):
            in_thread(count, cells, 10)
            count(cells, 20)
            cells.totals()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cells.totals() == Counter({10: 200, 20: 200})

"""The lines that wait for the file."""

from dblog.files.buffer import MEMORY_LIMIT, PATIENCE, LineBuffer


def test_a_block_is_full_at_its_size() -> None:
    """The line that brings a block to its size is the one that fills it."""
    buffer = LineBuffer(block_size=10, max_waiting=5)
    assert [buffer.put(b"1234") for _ in range(3)] == [False, False, True]


def test_without_a_block_every_line_fills_it() -> None:
    """A size of 0 lets no line wait."""
    assert LineBuffer(block_size=0, max_waiting=5).put(b"x")


def test_lines_stay_until_they_are_deleted() -> None:
    """What was taken and not deleted is taken again, before what came later."""
    buffer = LineBuffer(block_size=10, max_waiting=5)
    buffer.put(b"a")
    buffer.put(b"b")
    assert buffer.take() == [b"a", b"b"]
    buffer.put(b"c")
    del buffer.lines[:1]
    assert buffer.take() == [b"b", b"c"]


def test_a_fast_write_never_overflows_by_number() -> None:
    """However many lines come during a write that is not slow, none has to wait."""
    buffer = LineBuffer(block_size=1, max_waiting=2)
    for _ in range(100):
        buffer.put(b"x")
    assert not buffer.overflows(PATIENCE / 2)


def test_a_slow_write_lets_so_many_lines_wait() -> None:
    """During a slow write as many lines may wait as the setting says, beside those that are being written."""
    buffer = LineBuffer(block_size=1, max_waiting=2)
    for line in (b"in hand", b"in hand, too"):
        buffer.put(line)
    buffer.take()
    for line in (b"1", b"2"):
        buffer.put(line)
    assert not buffer.overflows(PATIENCE)
    buffer.put(b"3")
    assert buffer.overflows(PATIENCE)


def test_memory_is_bounded_whatever_the_time() -> None:
    """Lines of several megabytes find no room, however short the write has taken."""
    buffer = LineBuffer(block_size=1, max_waiting=1000)
    buffer.put(bytes(MEMORY_LIMIT))
    assert buffer.overflows(0.0)

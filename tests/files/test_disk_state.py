"""When a file counts as degraded, and when it is worth another try; with a clock of the test's own."""

import errno

import pytest

from dblog.files.fulldisk.disk_state import DiskState

FULL, LASTING, PASSING = (OSError(number, "x") for number in (errno.ENOSPC, errno.EACCES, errno.EMFILE))


class Clock:
    """Shows what it is told."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def state(clock: Clock) -> DiskState:
    """A state whose timer goes off each minute."""
    return DiskState(60.0, clock, lambda: clock.now + 1e9)


def test_a_file_that_was_never_in_trouble(state: DiskState) -> None:
    """At first nothing has failed."""
    figures = (state.is_degraded, state.error_count, state.last_error_time, state.recovery_attempts, state.downtime)
    assert figures == (False, 0, None, 0, 0.0)


def test_from_the_first_error_to_the_recovery(state: DiskState, clock: Clock) -> None:
    """Only the first error is news; all are counted, and the time without a file is measured from the first."""
    assert state.failed(FULL)
    clock.now += 5
    state.trying()
    assert not state.failed(FULL)
    assert (state.error_count, state.last_error_time, state.recovery_attempts) == (2, 1e9 + 1005, 1)
    clock.now += 2.5
    assert state.recovered() == 7.5
    assert (state.is_degraded, state.error_count) == (False, 2)


def test_a_full_disk_is_looked_at_after_the_cleanup(state: DiskState, clock: Clock) -> None:
    """A full disk is looked at immediately, for the clean-up may have made room, and by the timer from then on."""
    state.failed(FULL)
    assert (state.is_full, state.until_next_try()) == (True, 0.0)
    state.trying()
    state.postponed()
    assert state.until_next_try() == 60.0
    clock.now += 60
    assert state.until_next_try() == 0.0


def test_a_full_disk_that_takes_the_test_and_not_the_lines(state: DiskState) -> None:
    """Where no line was written since the last error, a full disk waits for the timer."""
    state.failed(FULL)
    state.recovered()
    state.failed(FULL)
    assert state.until_next_try() == 60.0
    state.recovered()
    state.wrote()
    state.failed(FULL)
    assert state.until_next_try() == 0.0


def test_an_error_that_may_pass(state: DiskState) -> None:
    """Five quick tries after 100, 200, 400, 800 and 1600 ms, then the timer."""
    state.failed(PASSING)
    pauses = [state.until_next_try()]
    for _ in range(6):
        state.trying()
        state.failed(PASSING)
        pauses.append(state.until_next_try())
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 60.0, 60.0])


def test_an_error_that_lasts(state: DiskState) -> None:
    """Where somebody has to act, the timer is the only one who tries."""
    state.failed(LASTING)
    assert state.until_next_try() == 60.0


def test_the_circuit_opens_after_ten_failures(state: DiskState) -> None:
    """Ten failures without a line written in between open the circuit: no quick tries, until a line is written."""
    opened = []
    for failure in range(1, 11):
        opened.append(state.circuit_open)
        state.failed(PASSING)
        if failure < 10:
            assert state.until_next_try() == pytest.approx(0.1)
        state.recovered()
    assert [*opened, state.circuit_open] == [False] * 10 + [True]
    state.failed(PASSING)
    assert state.until_next_try() == 60.0
    state.recovered()
    state.wrote()
    state.failed(PASSING)
    assert state.until_next_try() == pytest.approx(0.1)


def test_a_short_interval_is_kept(clock: Clock) -> None:
    """No try waits longer than the interval."""
    state = DiskState(0.15, clock)
    state.failed(PASSING)
    state.trying()
    state.failed(PASSING)
    assert state.until_next_try() == pytest.approx(0.15)

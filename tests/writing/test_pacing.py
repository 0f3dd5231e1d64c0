"""When a batch is due and when to try again, with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.defaults import URGENT_INTERVAL
from dblog.faults import Fault
from dblog.writing.pacing import TRIES, Pacing


def pacing(jitter: float = 1.0, **values: float) -> Pacing:
    """A policy of 10 records, 1,000 bytes and 5 seconds."""
    return Pacing(10, 1000, values.get("flush_interval", 5.0), jitter=lambda: jitter)


@pytest.mark.parametrize(
    ("count", "size", "urgent", "due"),
    [(1, 1, False, 105.0), (10, 1, False, 0.0), (1, 1000, False, 0.0), (1, 1, True, 100.0 + URGENT_INTERVAL)],
    ids=["age", "count", "bytes", "urgent"],
)
def test_a_batch_is_due_by_count_bytes_age_or_urgency(count: int, size: int, urgent: bool, due: float) -> None:
    """A full batch is due at once, another one when its oldest record has waited, sooner where an error is in it."""
    assert pacing().due_at(100.0, count=count, size=size, urgent=urgent) == due


def test_an_error_never_slows_a_batch() -> None:
    """Where the interval is shorter than the one for errors, it holds for errors, too."""
    assert pacing(flush_interval=0.01).due_at(1.0, count=1, size=1, urgent=True) == 1.01


def test_pauses_double_up_to_a_limit() -> None:
    """After each failure the pause is twice as long, up to 10 s; no try is allowed before its end."""
    policy, now, pauses = pacing(), 50.0, []
    for _ in range(12):
        policy.failed(Fault.UNREACHABLE, now)
        pauses.append(round(policy.next_try - now, 3))
        assert not policy.may_try(policy.next_try - 0.001)
        now = policy.next_try
        assert policy.may_try(now)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0, 10.0, 10.0]


def test_where_somebody_has_to_act_tries_become_rarer() -> None:
    """A mistake of the operator is tried again every half minute at last."""
    policy = pacing()
    for _ in range(20):
        policy.failed(Fault.OPERATOR, 0.0)
    assert policy.next_try == 30.0


@given(jitter=st.floats(0, 1), failures=st.integers(1, 2000))
def test_jitter_stays_within_half_of_the_pause(jitter: float, failures: int) -> None:
    """However long an outage is, the pause lies between half of the limit and the limit."""
    policy = pacing(jitter)
    policy.failures = failures - 1
    policy.failed(Fault.UNREACHABLE, 0.0)
    longest = min(10.0, 0.1 * 2 ** min(failures - 1, 100))
    assert longest / 2 <= policy.next_try <= longest


def test_the_circuit_opens_after_five_failures_and_closes_at_a_success() -> None:
    """Five failures in a row open the circuit; one success forgets all of them."""
    policy = pacing()
    states = [policy.circuit_open]
    for _ in range(TRIES):
        policy.failed(Fault.UNREACHABLE, 0.0)
        states.append(policy.circuit_open)
    assert states == [False] * TRIES + [True]
    policy.succeeded()
    assert (policy.circuit_open, policy.may_try(0.0)) == (False, True)

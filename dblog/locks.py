"""Locks that no signal handler leaves held."""

from typing import Protocol


class Lock(Protocol):
    """A lock of `threading`."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:
        """Take it; False where that is not possible in time."""
        ...

    def release(self) -> None:
        """Let go of it."""
        ...


def acquire(lock: Lock, held: list[bool], *, blocking: bool = True, timeout: float = -1.0) -> bool:
    """Take a lock and note it in one call to C: where a signal handler raises, it is either noted or not taken.

    The caller releases the lock where `held` has a True, in a `finally` whose `try` begins before the call.

    Args:
        lock: The lock.
        held: Where the outcome is noted.
        blocking: Wait for it.
        timeout: Seconds that this may take; -1 for no limit.
    """
    held.extend(map(lock.acquire, (blocking,), (timeout,)))
    return held[-1]

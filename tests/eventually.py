"""Waiting for what another thread or process brings about."""

import time
from collections.abc import Callable

PATIENCE = 60.0


def eventually(predicate: Callable[[], object], what: str = "the condition", timeout: float = PATIENCE) -> None:
    """Wait until a predicate holds; fail where it does not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.01)

"""The zone of the process, for as long as a test needs it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
)


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Let the process live in a zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()

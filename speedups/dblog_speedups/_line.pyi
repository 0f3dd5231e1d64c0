import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

INTERFACE: int
"""What dblog and this module agree on; dblog uses no other than its own."""

class LineEncoder:
    """Encodes ordinary records with what the encoder in Python remembers."""

    def __init__(
        self,
        rows: Any,
        *,
        failure: Callable[[logging.LogRecord], str],
        sites: dict[tuple[object, ...], str],
        threads: dict[tuple[object, ...], str],
        keys: dict[str, str],
        formatted: AbstractSet[str],
        longest: int,
        untraced: str,
        nothing: str,
    ) -> None: ...
    def encode(self, record: logging.LogRecord) -> bytes | None:
        """The line that `rows.encode()` would make; None where that has to be asked."""

class Taker:
    """Takes ordinary records into a queue."""

    def __init__(
        self,
        take: Callable[[logging.LogRecord], None],
        encoder: LineEncoder,
        *,
        look_after: Callable[[Any, bool], None],
        local: Any,
        queue: Any,
        append: Callable[[bytes], None],
        stepper: Any,
        process_id: int,
        worker_thread: str,
        urgent_level: int,
        line_overhead: int,
        publish_bytes: int,
    ) -> None: ...
    def __call__(self, record: logging.LogRecord, /) -> None:
        """Do what `take(record)` does."""

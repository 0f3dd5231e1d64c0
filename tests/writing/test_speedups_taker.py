"""What is taken compiled does not come to the code in Python at all."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from encoded import record
from failures import caught, fall

from dblog import DatabaseLogHandler
from dblog.writing.intake import Intake
from dblog.writing.speedups import load

NOWHERE = "host=127.0.0.1 port=1"
FAILURE = caught(partial(fall, 3, ValueError("the card was refused")))


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """The records that came to the code in Python; without the compiled module the test is skipped."""
    if load() is None:
        pytest.skip("dblog-speedups is missing: pip install ./speedups")
    records: list[logging.LogRecord] = []
    take = Intake.take

    def note_and_take(self: Intake, record: logging.LogRecord) -> None:
        records.append(record)
        take(self, record)

    monkeypatch.setattr(Intake, "take", note_and_take)
    return records


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "plain"),
        ({"exc_info": FAILURE}, "failed"),
        ({"order_id": 7, "exc_info": FAILURE}, "failed, with an extra value"),
        ({"level": logging.ERROR, "exc_info": FAILURE}, "urgent"),
        ({}, "x" * 3000),
    ],
    ids=["plain", "exception", "extra", "urgent", "reported"],
)
def test_ordinary_records_are_taken_compiled(
    make_handler: Callable[..., DatabaseLogHandler],
    left: list[logging.LogRecord],
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    message: str,
) -> None:
    """Exceptions, errors and a record that makes its thread report need no code in Python once the line is known."""
    monkeypatch.setattr("dblog.writing.intake._PUBLISH_BYTES", 2000)
    handler, now = make_handler(NOWHERE, flush_interval=600, batch_size=100_000), time.time()

    def log(message: str, **more: Any) -> None:
        made = record(message, **more)
        made.created = now
        handler.handle(made)

    log("of this thread", **{**more, "exc_info": None})
    warm, taken = len(left), sum(handler.stats().emitted.values())
    for _ in range(3):
        log(message, **more)
    assert len(left) == warm == 1
    assert sum(handler.stats().emitted.values()) == taken + 3

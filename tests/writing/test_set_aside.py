"""Batches and rows that are set aside for a human: those that the ledger forgot, and those that PostgreSQL refused."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from batches import NOW, WRITER, batch
from delivered import messages
from eventually import eventually
from servers import Database
from spools import waiting_segments

from dblog import DatabaseLogHandler
from dblog.batch import Rejected
from dblog.location import target
from dblog.sinks.spool import Spool

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]


@pytest.mark.parametrize("age", [timedelta(days=40), timedelta(days=-60)], ids=["too old", "by a clock far ahead"])
def test_a_batch_that_the_ledger_does_not_remember_is_set_aside(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    age: timedelta,
) -> None:
    """What could come twice unnoticed is not stored but kept for `dblog rejected`; what waits behind it is stored."""
    left = Spool(tmp_path, writer_id=WRITER, target=target(database.dsn, None, "dblog"), report=lambda trouble: None)
    left.append(batch(1, "forgotten", day=NOW - age))
    left.append(batch(2, "remembered"))
    left.close()
    handler = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
    attach(handler).info("successor")
    eventually(lambda: "remembered" in messages(database.dsn), "the second batch to be stored")
    handler.close()
    assert "forgotten" not in messages(database.dsn)
    (kept,) = (tmp_path / "rejected").iterdir()
    assert b"forgotten" in kept.read_bytes()
    assert "see `dblog rejected ls`" in capfd.readouterr().err


def test_rows_refused_by_an_earlier_try_are_forgotten_when_all_are_stored(
    database: Database, make_handler: MakeHandler, tmp_path: Path
) -> None:
    """Where a try that refused rows was never committed, and the next one stores them all, none stay set aside."""
    handler = make_handler(database.dsn, spool_dir=tmp_path)
    delivery = handler._writer.delivery
    assert delivery.spool is not None
    tried = batch(1, "good", "refused at first")
    delivery.spool.set_aside(tried, [Rejected(tried.payload.splitlines(keepends=True)[1], "a constraint")])
    assert delivery.attempt(tried, time.monotonic())
    assert messages(database.dsn) == {"good": 1, "refused at first": 1}
    handler.close()
    delivery.close_database()  # which nobody else does, as no record was logged
    assert not list(tmp_path.rglob("*.seg"))


def test_rows_refused_by_an_earlier_try_are_forgotten_before_all_are_committed(
    database: Database, make_handler: MakeHandler, attach: Attach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies right after the COMMIT leaves no row set aside that is stored: it would be sent again."""

    def die() -> None:
        raise KeyboardInterrupt

    delivery = make_handler(database.dsn, spool_dir=tmp_path)._writer.delivery
    assert delivery.spool is not None
    tried = batch(1, "good", "refused at first")
    assert delivery.divert(tried)
    delivery.spool.set_aside(tried, [Rejected(tried.payload.splitlines(keepends=True)[1], "a constraint")])
    monkeypatch.setattr(delivery.tally, "succeeded", die)
    with pytest.raises(KeyboardInterrupt):
        delivery.replay(time.monotonic())
    delivery.close_database()
    delivery.spool.abandon()
    successor = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.01)
    attach(successor).info("successor")
    eventually(lambda: not waiting_segments(tmp_path), "the batch to be found in the ledger")
    successor.close()
    found = messages(database.dsn)
    assert (found["good"], found["refused at first"]) == (1, 1)
    assert list(tmp_path.iterdir()) == []

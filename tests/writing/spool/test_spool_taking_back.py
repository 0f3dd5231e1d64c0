"""Rows that were set aside come back: once, whole, and under a key that the ledger will remember."""

from dataclasses import replace
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, contents, drain, failing, files, frames_in, name_of, refuse

from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.segments import Trouble

TODAY = "2026-12-01"


@pytest.mark.parametrize(("day", "birth_day"), [("2026-12-16", "2026-12-01"), ("2026-12-17", "2026-12-17")])
def test_rows_come_back_under_a_key_that_the_ledger_remembers(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path, day: str, birth_day: str
) -> None:
    """A file of `rejected/` becomes a segment by its name alone; an old one gets a new birth day first."""
    writer = make_spool(today=lambda: TODAY)
    batch = make_batch(1)
    writer.set_aside(batch, [*refuse(batch, 0), *refuse(batch, 1, reason="worse")])
    writer.confirm(batch.key)
    kept = frames_in(rejected / name_of(batch))
    spool = make_spool(2, today=lambda: day)
    spool.append(make_batch(1, writer=2))
    spool.take_back(rejected / name_of(batch))
    assert files(rejected) == []
    expected = [replace(each, key=replace(each.key, birth_day=birth_day)) for each in kept]
    assert list(drain(spool)) == [make_batch(1, writer=2), *expected]
    with pytest.raises(FileNotFoundError):
        spool.take_back(rejected / name_of(batch))


def test_taking_back_spares_rows_that_are_open(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path, home: Path
) -> None:
    """Rows of a batch are not taken back while refused rows of the same batch wait here for its COMMIT."""
    spool, batch = make_spool(), make_batch(1)
    spool.set_aside(batch, refuse(batch, 0))
    spool.confirm(batch.key)
    spool.set_aside(batch, refuse(batch, 1))
    before = contents(home)
    with pytest.raises(FileExistsError, match="still open"):
        spool.take_back(rejected / name_of(batch))
    assert contents(home) == before
    assert files(rejected) == [name_of(batch)]


def test_what_is_for_another_target_is_not_taken_back(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path
) -> None:
    """A file of another database is refused by its name, and stays where it is."""
    elsewhere, batch = make_spool(2, target="elsewhere"), make_batch(1)
    elsewhere.set_aside(batch, refuse(batch, 0))
    elsewhere.confirm(batch.key)
    before = contents(rejected)
    with pytest.raises(ValueError, match=f"{name_of(batch)} holds rows for another database"):
        make_spool(1).take_back(rejected / name_of(batch))
    assert contents(rejected) == before


@pytest.mark.parametrize("calls", [["fsync"], ["write"], ["pread"]], ids="-".join)
def test_what_cannot_be_taken_back_stays(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path, calls: list[str]
) -> None:
    """Where a file cannot be rewritten under a new birth day, it stays in `rejected/` as it was."""
    writer, batch = make_spool(today=lambda: TODAY), make_batch(1)
    writer.set_aside(batch, refuse(batch, 0))
    writer.confirm(batch.key)
    before = contents(rejected)
    spool = make_spool(2, today=lambda: "2027-06-01")
    spool.open()
    with failing(5, *calls), pytest.raises(OSError, match="Input/output error"):  # simulated
        spool.take_back(rejected / name_of(batch))
    assert contents(rejected) == before
    assert spool.oldest() is None


def test_damage_is_taken_back_as_it_is(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path, troubles: list[Trouble], header: Header
) -> None:
    """A new birth day costs no byte of a damaged file: what cannot be read ends in `damaged/`, the rest comes."""
    batch = make_batch(1)
    rejected.mkdir(parents=True)
    name = name_of(batch)
    (rejected / name).write_bytes(header.line + b"garbage\n" + frames.encode(batch, header) + b"more")
    spool = make_spool(today=lambda: "2027-06-01")
    spool.take_back(rejected / name)
    assert list(drain(spool)) == [replace(batch, key=replace(batch.key, birth_day="2027-06-01"))]
    assert sorted(contents(rejected.parent / "damaged").values()) == [b"garbage\n", b"more"]
    assert len(troubles) == 1

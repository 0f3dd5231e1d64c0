"""A disk that the spool itself fills while the database is away: each step back brings the service back."""

from pathlib import Path

import pytest
from disks import small_disk
from gates import Gate
from ordered import Ordered, ordered

MEGABYTES = 4
BALLAST = 2 * 1024 * 1024


def log_until_printed(application: Ordered) -> None:
    """Log until neither the disk nor the memory takes more."""
    before = application.total("printed")
    for _ in range(200):
        application.log(200)
        if application.total("printed") > before:
            return
    raise AssertionError(f"the disk never got full: {application.figures()}")


@pytest.mark.parametrize("durability", ["memory", "journal"])
@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.torture)])
def test_filled_and_freed(gate: Gate, tmp_path: Path, durability: str, rounds: int) -> None:
    """While the spool's disk is full, when it has room again and when the database is back, the figures are true.

    They are those of the table, of the spool and of stderr, and the same process takes up its work at each step.
    """
    with (
        small_disk(tmp_path / "disk", MEGABYTES) as disk,
        ordered(gate, disk / "spool", tmp_path / "stderr", durability=durability) as application,
    ):
        for _ in range(rounds):
            fill_and_free(gate, disk, application)
        application.order("close")
        places = application.check()
        print(f"{durability}, {rounds} rounds: {places}")
        assert places["stored"] + places["printed"] + places["dropped"] == sum(places.values())
        assert [path.name for path in (disk / "spool").iterdir()] == []


def fill_and_free(gate: Gate, disk: Path, application: Ordered) -> None:
    """Make the disk full while the database is away, then give back the disk, then the database."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST))
    application.log(100)
    assert application.order("flush", 60)
    gate.close()
    application.log(100)
    application.await_records("spooled")
    application.check()
    log_until_printed(application)
    spooled = application.check()["spooled"]
    ballast.unlink()
    application.log(400)
    application.await_records("spooled", more_than=spooled)
    application.check()
    gate.open()
    stored = application.total("stored")
    application.log(100)
    application.await_delivery()
    assert application.check()["stored"] > stored + spooled

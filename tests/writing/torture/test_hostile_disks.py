"""Disks and limits that turn on a running handler: it goes on, counts what that costs, and resumes by itself."""

import pwd
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import read_only, small_disk
from eventually import eventually
from gates import Gate
from ordered import Ordered, ordered

DURABILITIES = pytest.mark.parametrize("durability", ["memory", "journal"])
ROUNDS = pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.torture)])

Harm = Callable[[Ordered], object]


def suffer(gate: Gate, application: Ordered, harm: Harm, repair: Harm) -> None:
    """Log before, during and after the harm, with the database away meanwhile, and see it all put right."""
    application.log(100)
    assert application.order("flush", 60)
    gate.close()
    application.log(300)
    application.await_records("spooled")
    eventually(lambda: not application.total("waiting"), "a quiet moment: a write that is cut short may stay uncounted")
    harm(application)
    application.log(300)
    application.check()
    repair(application)
    come_back(gate, application)


def come_back(gate: Gate, application: Ordered) -> None:
    """Log on without the harm, then with the database, too: first the spool works again, then everything does."""
    spooled = application.total("spooled")
    application.log(300)
    application.await_records("spooled", more_than=spooled)
    application.check()
    gate.open()
    application.await_delivery()
    application.check()


def end(application: Ordered, spool_dir: Path, *, lost: bool = False) -> None:
    """Close the application: all of its records are stored, or dropped where the harm has taken them, none waits."""
    application.order("close")
    places = application.check()
    print(places)
    assert (places["dropped"] > 0) is lost
    assert places["stored"] + places["dropped"] == sum(places.values())
    assert [path for path in spool_dir.iterdir() if path.is_dir()] == []


@DURABILITIES
@ROUNDS
def test_no_descriptors(gate: Gate, tmp_path: Path, durability: str, rounds: int) -> None:
    """A process that may open no file any more keeps its records in memory, and spools them when it may again."""
    spool_dir = tmp_path / "spool"
    with ordered(gate, spool_dir, tmp_path / "stderr", durability=durability) as application:
        for _ in range(rounds):
            suffer(gate, application, lambda app: app.order("nofile"), lambda app: app.order("free"))
        end(application, spool_dir)


@DURABILITIES
@ROUNDS
def test_a_read_only_disk(gate: Gate, tmp_path: Path, durability: str, rounds: int) -> None:
    """While the disk of the spool is read-only records wait in memory; they are spooled when it is writable again."""
    spool_dir = tmp_path / "disk" / "spool"
    with (
        small_disk(tmp_path / "disk", 8) as disk,
        ordered(gate, spool_dir, tmp_path / "stderr", durability=durability) as application,
    ):
        for _ in range(rounds):
            for _ in range(5):  # more than a file of the journal, so that one is to be deleted
                application.log(500)
                assert application.order("flush", 60)
            application.await_delivery()
            with read_only(disk):
                gate.close()
                application.log(300)
                eventually(lambda: application.order("stats")["state"] == "circuit open", "the outage")
                places = application.check()
                assert (places["spooled"], places["waiting"]) == (0, 300)
            come_back(gate, application)
        end(application, spool_dir)


@DURABILITIES
@ROUNDS
def test_a_deleted_directory(gate: Gate, tmp_path: Path, durability: str, rounds: int) -> None:
    """When somebody deletes the spool, what was in it counts as dropped, and the next records are spooled again."""
    spool_dir = tmp_path / "spool"
    with ordered(gate, spool_dir, tmp_path / "stderr", durability=durability) as application:
        for _ in range(rounds):
            suffer(gate, application, lambda _: shutil.rmtree(spool_dir), lambda _: None)
        end(application, spool_dir, lost=True)


@DURABILITIES
@ROUNDS
def test_rights_taken_away(gate: Gate, tmp_path: Path, durability: str, rounds: int) -> None:
    """A service whose spool is no longer its own keeps its records in memory, and spools them when it is again."""
    try:
        nobody = pwd.getpwnam("nobody")
        shutil.chown(tmp_path, nobody.pw_uid)
    except (KeyError, PermissionError):
        pytest.skip("RIGHTS ARE NOT TESTED: that takes root and a user nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:  # a folder below tmp_path is not for others
        base, spool_dir = Path(shared), Path(shared) / "dblog"
        shutil.chown(base, nobody.pw_uid, nobody.pw_gid)
        stderr = tmp_path / "stderr"
        with ordered(gate, spool_dir, stderr, user=nobody.pw_uid, durability=durability) as application:
            for _ in range(rounds):
                suffer(gate, application, lambda _: spool_dir.chmod(0o000), lambda _: spool_dir.chmod(0o750))
            end(application, spool_dir)

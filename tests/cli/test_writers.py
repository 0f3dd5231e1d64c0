"""`dblog writers`: how the writers of a host are."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from servers import Database
from spooled import NOWHERE, SpoolCommand, batch_of, leave, open_spool, shop, write_segment

from dblog.cli.main import run
from dblog.cli.writers import WIDTH

NOBODY = 65_534
WRITER = "0123456789abcdef" * 2
Writers = Callable[[], tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that any user can reach."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user, where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def writers(directory: Path, capsys: pytest.CaptureFixture[str]) -> Writers:
    """A function that gives the exit code and the JSON of the command."""

    def ask() -> tuple[int, list[dict[str, Any]]]:
        code = run(["writers", "--spool-dir", str(directory), "-o", "json"])
        out, err = capsys.readouterr()
        assert err == ""
        return code, json.loads(out)

    return ask


def test_a_writer_that_delivers_is_well(database: Database, directory: Path, writers: Writers) -> None:
    """A living writer whose database takes records is shown with its figures, and the exit code is 0."""
    with shop(directory, database.dsn) as running:
        running.log("hello")
        eventually(lambda: [each["state"] for each in writers()[1]] == ["connected"], "a connected writer")
        code, (found,) = writers()
        assert code == 0
        assert (found["alive"], found["in_trouble"], found["spool"]["rows"]) == (True, False, 0)
        assert found["status"]["process_id"] == running.process_id
        assert found["status"]["service"] == "shop"
        running.close()
    assert writers() == (0, [])


def test_a_writer_that_fails_is_shown_with_the_reason(
    directory: Path, writers: Writers, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who fails, since when and why, and what waits in memory and on the disk, fits on a screen; exit code 1."""
    with shop(directory, NOWHERE) as running:
        running.log("one", "two", "three")
        eventually(lambda: sum(each["spool"]["rows"] for each in writers()[1]) == 3, "three rows in the spool")
        eventually(lambda: writers()[1][0]["status"]["spooled"] == {"30": 3}, "a status that says so")
        code, (found,) = writers()
        assert (code, found["state"], found["in_trouble"]) == (1, "circuit open", True)
        assert run(["writers", "--spool-dir", str(directory)]) == 1
        out = capsys.readouterr().out
    assert "1 in trouble" in out
    assert "database app@127.0.0.1:1/app" in out
    assert str(running.process_id) in out
    assert "no connection to the server" in " ".join(out.split())
    assert max(map(len, out.splitlines()[1:])) <= WIDTH


@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_what_a_killed_writer_left_is_held_back(durability: str, directory: Path, writers: Writers) -> None:
    """A writer that was killed is dead; what it left on the disk counts, in a journal, too; exit code 1."""
    with shop(directory, NOWHERE, durability=durability) as running:
        running.log("one", "two")
        if durability == "memory":
            eventually(lambda: sum(each["spool"]["rows"] for each in writers()[1]) == 2, "two rows in the spool")
        running.kill()
    code, (found,) = writers()
    assert (code, found["alive"], found["state"], found["spool"]["rows"]) == (1, False, "dead", 2)


def test_a_dead_writer_without_records_holds_nothing_back(directory: Path, writers: Writers) -> None:
    """A writer that ended without closing but left nothing is shown, with the exit code 0."""
    leave(directory, NOWHERE)
    code, (found,) = writers()
    assert (code, found["state"], found["in_trouble"]) == (0, "dead", False)


def test_a_writer_that_says_nothing_is_in_trouble(
    database: Database, directory: Path, writers: Writers, capsys: pytest.CaptureFixture[str]
) -> None:
    """A living writer whose records wait, and that has been silent for minutes, is named; one without status is not."""
    living = open_spool(directory, NOWHERE)
    code, (found,) = writers()
    assert (code, found["state"]) == (0, "starting")
    with shop(directory, database.dsn) as running:
        running.log("hello")
        eventually(lambda: [each["state"] for each in writers()[1] if each["status"]] == ["connected"], "a status")
        (path,) = directory.glob("*/status.json")
        status = json.loads(path.read_bytes())
        running.close()
    living.write_status(json.dumps(status | {"updated": "2026-01-01T00:00:00+00:00"}).encode())
    assert writers()[0] == 0
    living.write_status(json.dumps(status | {"updated": "2026-01-01T00:00:00+00:00", "waiting": {"20": 3}}).encode())
    code, (found,) = writers()
    assert (code, found["in_trouble"]) == (1, True)
    assert run(["writers", "--spool-dir", str(directory)]) == 1
    assert "though records wait" in " ".join(capsys.readouterr().out.split())
    living.close()


def test_looking_takes_no_lock(directory: Path, writers: Writers) -> None:
    """Who looks at a dead writer is not taken for its owner by another who looks, and leaves the lock free."""
    writer_id = leave(directory, NOWHERE, "left")
    lock = (directory / writer_id / "lock").open("rb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as another command does at this moment
        assert writers()[1][0]["alive"] is False
    heir = open_spool(directory, NOWHERE)
    assert heir.adopt().figures.rows == 1
    heir.abandon()


@pytest.mark.parametrize("status", [b"", b"{", b"[]", b"\xff", b'{"process_id": "x"}', b"null", b"[" * 100_000])
def test_a_status_that_is_garbage_is_no_status(
    status: bytes, directory: Path, writers: Writers, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in status.json, the writer is shown with what its files tell."""
    writer_id = leave(directory, NOWHERE, "left")
    (directory / writer_id / "status.json").write_bytes(status)
    code, (found,) = writers()
    assert (code, found["status"], found["spool"]["rows"]) == (1, None, 1)
    assert run(["writers", "--spool-dir", str(directory)]) == 1
    assert writer_id in capsys.readouterr().out


def test_foreign_things_are_left_out(directory: Path, writers: Writers) -> None:
    """Files and directories that are no writer's are no writers."""
    (directory / "rejected").mkdir()
    (directory / ("a" * 32)).write_text("a file with the name of a writer")
    (directory / "notes.txt").write_text("notes")
    assert writers() == (0, [])


def test_pipes_in_the_place_of_files_hold_nobody_up(directory: Path, writers: Writers) -> None:
    """What is no file is not waited for."""
    home = directory / leave(directory, NOWHERE)
    for name in ("lock", "status.json", "00000001.seg", "00000002.journal"):
        (home / name).unlink(missing_ok=True)
        os.mkfifo(home / name)
    code, (found,) = writers()
    assert (code, found["status"], found["spool"]["rows"]) == (1, None, 0)
    assert found["spool"]["unread"] == [
        "00000001.seg cannot be read: Illegal seek",
        "00000002.journal cannot be read: Illegal seek",
    ]


def test_a_directory_of_another_user_is_said(public: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A writer whose directory may not be looked into is unknown, which no command takes for well."""
    commands = (["writers"], ["spool", "ls"], ["spool", "cat"], ["spool", "verify"], ["replay", "--dsn", NOWHERE])
    for arguments in commands:  # so that all is imported, which another user may not be able to do
        assert run([*arguments, "--spool-dir", str(public)]) == 0
    home = public / leave(public, NOWHERE, "left")
    capsys.readouterr()
    home.chmod(0)
    with as_nobody():
        assert run(["writers", "--spool-dir", str(public)]) == 1
        out = " ".join(capsys.readouterr().out.split())
        assert f"writer {home.name}: cannot be looked into: Permission denied" in out
        assert "1 writer could not be looked into: run as its user" in out
        for arguments in commands:
            assert run([*arguments, "--spool-dir", str(public)]) == 1, arguments
            out, err = capsys.readouterr()
            assert "run as its user" in out + err, arguments
            assert "whole" not in out
    public.chmod(0)
    with as_nobody():
        assert run(["writers", "--spool-dir", str(public)]) == 1
    assert capsys.readouterr().err == f"dblog: error: {public}: Permission denied\n"


def test_what_the_spool_could_not_do_is_shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A living writer whose spool fails is in trouble, with the reason; columns say what was dropped and refused."""
    living = open_spool(directory, NOWHERE)
    with shop(directory, NOWHERE) as running:
        running.log("hello")
        eventually(lambda: list(directory.glob("*/status.json")), "a status")
        status = json.loads(next(directory.glob("*/status.json")).read_bytes())
    told = {"spool_error": "takes no records: No space left on device", "last_error": None, "state": "connected"}
    living.write_status(json.dumps(status | told).encode())
    assert run(["writers", "--spool-dir", str(directory)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "its spool takes no records: No space left on device" in out
    assert "dropped refused" in out
    living.close()


def test_a_batch_in_two_files_is_counted_once(directory: Path, spool: SpoolCommand, writers: Writers) -> None:
    """Rows that are in the journal and in a segment of the same writer are counted and printed once."""
    home = directory / WRITER
    batches = [batch_of(WRITER, seq, f"m{seq}") for seq in (1, 2)]
    write_segment(home / "00000001.seg", batches[0])
    write_segment(home / "00000001.journal", *batches)
    with (home / "00000001.journal").open("ab") as journal:  # rows of batches that were not formed yet
        journal.write(batches[0].payload + batch_of(WRITER, 3, "m3").payload)
    assert spool.messages() == ["m1", "m2", "m3"]
    assert [each["rows"] for each in spool.listed()] == [1, 2]
    code, (found,) = writers()
    assert (code, found["spool"]["rows"]) == (1, 3)

"""`dblog files` where a name is mistyped, room is short, or a disk does not answer."""

import json
import os
import threading
from pathlib import Path

import pytest
from disks import small_disk

from dblog.checks import Check
from dblog.cli.main import run
from dblog.files.folder import health

OK = (Check("all", "ok", "well"),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two logs."""
    found = tmp_path / "logs"
    found.mkdir()
    (found / "app.log").write_text("a\n")
    (found / "app.jsonl").write_text("{}\n")
    return found


@pytest.mark.parametrize("command", [("report",), ("rotate",), ("clean", "--keep", "0")])
def test_a_mistyped_name_is_exit_code_1(
    command: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name without a log is one line that tells which logs there are; nothing is done to those that exist."""
    assert run(["files", command[0], str(folder), "app.log", "ap.log", *command[1:]]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"dblog: error: {folder} has no log named 'ap.log'; it has app.jsonl, app.log\n")
    assert sorted(path.name for path in folder.iterdir()) == ["app.jsonl", "app.log"]


def test_a_mistyped_name_does_not_make_monitoring_green(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check of a log that is not there is an error beside what else was found."""
    assert run(["files", "check", str(folder), "ap.log", "--min-free-mb", "0"]) == 2
    out = capsys.readouterr().out
    assert f"error    log: {folder} has no log named 'ap.log'; it has app.jsonl, app.log\n" in out
    assert "ok       writable: " in out


def test_a_log_of_which_only_rotated_files_are_left_is_a_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name whose live file was just rotated is known."""
    (folder / "app.log").rename(folder / "app.log.1")
    assert run(["files", "check", str(folder), "app.log", "--min-free-mb", "0"]) == 0, capsys.readouterr().out


def test_an_explicit_bound_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a small disk the default asks for a twentieth, a given number for that number; the bound is shown."""
    with small_disk(tmp_path / "mount", 20) as small:
        assert run(["files", "check", str(small)]) == 0
        assert "ok       free space: 20 MiB of 20 MiB are free, 1 is asked for\n" in capsys.readouterr().out
        assert run(["files", "check", str(small), "--min-free-mb", "50"]) == 1
        assert "warning  free space: 20 MiB of 20 MiB are free, 50 are asked for\n" in capsys.readouterr().out


def test_what_goes_wrong_in_a_check_is_raised() -> None:
    """An exception of the examination reaches the caller as it is, and is not taken for a slow disk."""

    def failing() -> tuple[Check, ...]:
        raise ValueError("cannot convert")

    with pytest.raises(ValueError, match="cannot convert"):
        health.within(300, failing)


def test_a_disk_that_does_not_answer_is_an_error() -> None:
    """Beyond the time limit the finding is that the file system did not answer."""
    answer = threading.Event()

    def hanging() -> tuple[Check, ...]:
        answer.wait()
        return OK

    try:
        (check,) = health.within(0.01, hanging)
    finally:
        answer.set()
    assert (check.state, check.finding) == ("error", "the file system did not answer within 0.01 s")
    assert health.within(300, lambda: OK) == OK


def test_no_file_is_left_where_the_disk_hangs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the trial file is written it has no name any more: whenever the check ends, nothing is left of it."""
    seen: list[str] = []
    fsync = os.fsync

    def looking(fd: int) -> None:
        seen.extend(path.name for path in folder.iterdir())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", looking)
    assert run(["files", "check", str(folder), "--min-free-mb", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checks"][0]["name"] == "writable"
    assert sorted(seen) == ["app.jsonl", "app.log"]

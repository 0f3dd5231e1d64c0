"""`dblog files`: report, rotation, clean-up and health of a folder of log files."""

import gzip
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from disks import fill, small_disk

from dblog import ResilientRotatingFileHandler
from dblog.cli.main import run
from dblog.files.rotated import alert


class Files:
    """Runs `dblog files` on one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.err = ""

    def __call__(self, command: str, *options: str, code: int = 0) -> str:
        """What a command prints, which has to end with this code."""
        ended = run(["files", command, str(self.folder), *options])
        out, self.err = self._capsys.readouterr()
        assert ended == code, out + self.err
        return out

    def json(self, command: str, *options: str, code: int = 0) -> Any:
        """What a command says to programs."""
        return json.loads(self(command, "--json", *options, code=code))

    def names(self) -> set[str]:
        """The names in the folder."""
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    """A folder with a log of four files, and a stranger."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for age, (name, data) in enumerate(
        {
            "app.log": b"live\n" * 100,
            "app.log.1": b"one\n",
            "app.log.2.gz": gzip.compress(b"two\n" * 10_000),
            "app.log.3.gz": gzip.compress(b"three\n" * 10_000),
            "notes.txt": b"mine",
        }.items()
    ):
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1.7e9 - age, 1.7e9 - age))
    return Files(folder, capsys)


def test_the_report_counts_everything(files: Files) -> None:
    """Number, size, types, the largest and what compression saved are there, for people and for programs."""
    told = files.json("report")
    sizes = {path.name: path.stat().st_size for path in files.folder.glob("app.log*")}
    assert (told["files"], told["bytes"]) == (4, sum(sizes.values()))
    assert {kind: found["files"] for kind, found in told["by_type"].items()} == {"live": 1, "rotated": 1, "gzip": 2}
    assert Path(told["largest"]["path"]).name == max(sizes, key=lambda name: sizes[name])
    assert told["saved_bytes"] == 100_000 - sizes["app.log.2.gz"] - sizes["app.log.3.gz"]
    assert [file["type"] for file in told["logs"][0]["files"]] == ["live", "rotated", "gzip", "gzip"]
    out = files("report")
    assert "app.log" in out
    assert "4 files, " in out
    assert "compression saved 99." in out
    assert "notes" not in out


def test_a_folder_without_logs_is_said_to_have_none(files: Files) -> None:
    """Where nothing is a log the answer says what would be one."""
    for path in files.folder.glob("app*"):
        path.unlink()
    expected = f"no logs in {files.folder}: no name ends in .log or .jsonl; others can be given by NAME\n"
    assert files("report") == files("rotate") == expected
    assert "notes.txt" in files("report", "notes.txt")


def test_rotation_is_safe_while_an_application_writes(files: Files) -> None:
    """A handler goes on in a new file after the rename, and no record is lost or doubled."""
    handler = ResilientRotatingFileHandler(files.folder / "own.log")
    logger = logging.Logger("own")
    logger.addHandler(handler)
    try:
        for number in range(30):
            logger.warning("record %d", number)
            if number % 10 == 9:
                files("rotate", "own.log")
    finally:
        handler.close()
    assert "own.log.3" in files.names()
    lines = [line for path in files.folder.glob("own.log*") for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"record {number}" for number in range(30))


def test_what_was_rotated_is_told(files: Files) -> None:
    """Each log is named with its new rotated file; one without content has nothing to rotate."""
    assert files("rotate") == "app.log is app.log.1 now\n"
    (files.folder / "app.log").touch()
    assert files("rotate") == "app.log: nothing to rotate\n"
    assert files.json("rotate") == {"rotated": {"app.log": None}}
    assert {"app.log.1", "app.log.2", "app.log.3.gz", "app.log.4.gz"} <= files.names()


def test_a_copy_keeps_the_file(files: Files) -> None:
    """With `--copytruncate` the live file stays the same one, and is empty."""
    before = (files.folder / "app.log").stat().st_ino
    files("rotate", "--copytruncate")
    after = (files.folder / "app.log").stat()
    assert (after.st_ino, after.st_size) == (before, 0)
    assert (files.folder / "app.log.1").stat().st_size == 500


def test_what_cannot_be_rotated_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy for which the disk has no room is one line, and the live file stays as it was."""
    with small_disk(tmp_path / "mount", 1) as folder:
        live = folder / "app.log"
        live.write_text("x\n")
        fill(folder)
        files = Files(folder, capsys)
        files("rotate", "--copytruncate", code=1)
        assert files.err == f"dblog: error: {live}: not rotated: No space left on device\n"
        assert live.read_text() == "x\n"


def test_clean_keeps_what_it_is_told_to(files: Files) -> None:
    """A dry run shows what would go and changes nothing; then exactly that goes, and the live file never."""
    before = files.names()
    told = files.json("clean", "--keep", "1", "--dry-run")
    assert files.names() == before
    assert [Path(file["path"]).name for file in told["files"]] == ["app.log.3.gz", "app.log.2.gz"]
    assert "would delete 2 files, " in files("clean", "--keep", "1", "--dry-run")
    assert "deleted 2 files, " in files("clean", "--keep", "1")
    assert files.names() == {"app.log", "app.log.1", "notes.txt"}
    assert files("clean", "--days", "1", "--max-total", "1KB").endswith("deleted 1 file, 4 bytes\n")
    assert files("clean", "--keep", "0") == "deleted 0 files, 0 bytes\n"
    assert files.names() == {"app.log", "notes.txt"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clean",), "nothing says what may go; accepted: --keep, --days, --max-total, or several of them"),
        (("clean", "--max-total", "much"), "'much' is no number of bytes; accepted: 1048576, 64MiB, 1GB"),
        (("clean", "--keep", "-1"), "-1 is not in the range x>=0"),
        (("report", "../x.log"), "'../x.log' is no name of a file in"),
        (("check", "--timeout", "nan"), "'nan' is not a number of seconds"),
        (("check", "--min-free-mb", "nan"), "'nan' is not a number"),
        (("clean", "--days", "nan"), "'nan' is not a number"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: tuple[str, ...], message: str, files: Files) -> None:
    """What cannot be understood is refused with exit code 2, a line, and what would be accepted."""
    assert files(*arguments, code=2) == ""
    assert message in files.err
    assert files.err.count("\n") == 1


def test_a_missing_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is exit code 2."""
    assert run(["files", "report", "/nowhere/at/all"]) == 2
    assert "/nowhere/at/all" in capsys.readouterr().err


def test_a_folder_that_is_well(files: Files) -> None:
    """All checks pass: exit code 0, and JSON with the same verdict."""
    told = files.json("check", "--min-free-mb", "0", "--max-total", "1MiB")
    assert told["status"] == "ok"
    assert [check["name"] for check in told["checks"]] == ["writable", "free space", "rotation", "limit"]
    assert files("check", "--min-free-mb", "0").count("ok ") == 3
    assert not [name for name in files.names() if name.startswith(".")]


def test_too_much_and_leftovers_are_warnings(files: Files) -> None:
    """A limit that is exceeded and unfinished files are exit code 1, with the command that mends it."""
    (files.folder / ".app.log.1.gz.tmp").touch()
    os.utime(files.folder / ".app.log.1.gz.tmp", (1, 1))
    out = files("check", "--max-total", "100", "--min-free-mb", "0", code=1)
    assert "warning  limit: app.log: " in out
    assert f"mend it with: dblog files clean {files.folder} app.log --max-total 100\n" in out
    assert "1 unfinished file that nobody writes any more" in out


def test_an_alert_is_an_error(files: Files) -> None:
    """The alert file of a failed rotation is exit code 2."""
    (files.folder / alert.NAME).write_text("failed")
    checks = {check["name"]: check for check in files.json("check", code=2)["checks"]}
    assert checks["rotation"]["state"] == "error"
    assert alert.NAME in checks["rotation"]["finding"]


def test_a_full_disk_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a full disk the check says that nothing can be written, and what is free."""
    with small_disk(tmp_path / "mount", 1) as folder:
        fill(folder)
        files = Files(folder, capsys)
        states = {check["name"]: check["state"] for check in files.json("check", code=2)["checks"]}
        assert (states["writable"], states["free space"]) == ("error", "warning")

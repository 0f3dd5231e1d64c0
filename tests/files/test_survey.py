"""What is found in a folder of log files, and what is left alone there."""

import fcntl
import gzip
import os
from datetime import datetime
from pathlib import Path

import pytest

from dblog.files.folder import byhand
from dblog.files.folder.survey import find_logs, largest
from dblog.files.folder.unpacked import unpacked_size
from dblog.files.rotated.bounds import Bounds

NOON = datetime(2026, 11, 21, 12)  # noqa: DTZ001 - what a clock on the wall shows
STRANGERS = (
    "lib.so",
    "lib.so.1",
    "app.log.bak",
    "app.log.01",
    "app.20261399_000000.log.gz",
    "notes.txt",
    ".app.log.lock",
)


def make(folder: Path, *names: str, text: str = "x\n", modified: float = 1e9) -> None:
    """Make files of that content and time; packed ones are packed."""
    for name in names:
        data = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(data)
        os.utime(folder / name, (modified, modified))


def names_in(folder: Path) -> set[str]:
    """The names of all files."""
    return {path.name for path in folder.iterdir()}


def test_each_file_belongs_to_its_log(tmp_path: Path) -> None:
    """Rotated files of every naming, packed ones and unfinished ones are counted for their live file."""
    own = (
        "app.log.1",
        "app.log.2.gz",
        "app.20261121_053355.log",
        "app.20261121_053355_2.log.gz",
        "app.log.2026-11-20",
        "app.log.2026-11-20.1.gz",
        ".app.log.4711.gz.tmp",
    )
    make(tmp_path, "app.log", "other.jsonl", "other.jsonl.1", *own, "app.log.1.zst")
    app, other = find_logs(tmp_path)
    assert {file.path.name for file in app.files} == {"app.log", *own, "app.log.1.zst"}
    assert [len(app.of(kind)) for kind in ("live", "rotated", "gzip", "zstd", "unfinished")] == [1, 3, 3, 1, 1]
    assert [file.path.name for file in other.files] == ["other.jsonl", "other.jsonl.1"]


def test_what_belongs_to_others_is_not_seen(tmp_path: Path) -> None:
    """Files with similar names, folders and links are no files of a log."""
    make(tmp_path, "app.log", *STRANGERS)
    (tmp_path / "app.log.3").mkdir()
    (tmp_path / "app.log.4").symlink_to(tmp_path / "notes.txt")
    (log,) = find_logs(tmp_path)
    assert [file.path.name for file in log.files] == ["app.log"]


def test_a_log_without_its_live_file_is_found(tmp_path: Path) -> None:
    """Rotated files stay those of their log while the live one is missing."""
    make(tmp_path, "app.log.1", "app.log.2.gz")
    (log,) = find_logs(tmp_path)
    assert (log.live.name, len(log.files), log.of("live")) == ("app.log", 2, [])


def test_other_names_can_be_given(tmp_path: Path) -> None:
    """A log with another ending is found by its name, and then no other."""
    make(tmp_path, "access", "access.1", "app.log")
    assert [log.live.name for log in find_logs(tmp_path, ["access"])] == ["access"]


def test_what_compression_saved_is_known(tmp_path: Path) -> None:
    """The size before compression is read from the packed file itself, and the largest file is found."""
    make(tmp_path, "app.log.1.gz", text="line\n" * 10_000)
    make(tmp_path, "app.log")
    (log,) = find_logs(tmp_path)
    packed = tmp_path / "app.log.1.gz"
    assert unpacked_size(packed) == 50_000
    assert log.saved == 50_000 - packed.stat().st_size
    biggest = largest([log])
    assert biggest is not None
    assert biggest.path == packed


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"\x28\xb5\x2f\xfd\x20\x05", 5),
        (b"\x28\xb5\x2f\xfd\x60\x10\x00", 272),
        (b"\x28\xb5\x2f\xfd\xa0\x00\x00\x01\x00", 65_536),
        (b"\x28\xb5\x2f\xfd\x80\x58\x00\x00\x01\x00", 65_536),
        (b"\x28\xb5\x2f\xfd\x00\x58", None),
        (b"\x28\xb5\x2f\xfd\xe0\x00", None),
        (b"\x1f\x8b", None),
        (b"", None),
        (b"plain text", None),
    ],
)
def test_sizes_in_headers(head: bytes, size: int | None, tmp_path: Path) -> None:
    """The header of a zstd frame tells the size where it was known; what is damaged or no header tells nothing."""
    (tmp_path / "x").write_bytes(head)
    assert unpacked_size(tmp_path / "x") == size


def test_rotation_by_hand_goes_on_as_the_files_are_named(tmp_path: Path) -> None:
    """The live file becomes the youngest rotated one, by the naming of those that are there."""
    make(tmp_path, "a.log", "a.log.1", "a.log.2.gz", "b.log", "b.20261121_113000.log", "c.log")
    logs = {log.live.name: log for log in find_logs(tmp_path)}
    targets = {name: byhand.rotate(log, NOON) for name, log in logs.items()}
    assert {name: path.name for name, path in targets.items() if path} == {
        "a.log": "a.log.1",
        "b.log": "b.20261121_120000.log",
        "c.log": "c.log.1",
    }
    assert names_in(tmp_path) >= {"a.log.1", "a.log.2", "a.log.3.gz"}
    assert not names_in(tmp_path) & set(logs)


def test_nothing_is_rotated_where_nothing_was_written(tmp_path: Path) -> None:
    """An empty or missing live file is left as it is."""
    make(tmp_path, "a.log", text="")
    make(tmp_path, "b.log.1")
    assert [byhand.rotate(log, NOON) for log in find_logs(tmp_path)] == [None, None]
    assert names_in(tmp_path) == {"a.log", "b.log.1"}


def test_a_copy_leaves_the_same_file_behind(tmp_path: Path) -> None:
    """By copying, a program that holds the file open goes on in it from the beginning."""
    make(tmp_path, "a.log")
    with (tmp_path / "a.log").open("ab", buffering=0) as program:
        (log,) = find_logs(tmp_path)
        byhand.rotate(log, NOON, copy=True)
        program.write(b"later\n")
    assert (tmp_path / "a.log").read_text() == "later\n"
    assert (tmp_path / "a.log.1").read_text() == "x\n"


def test_the_lock_of_several_processes_is_taken_and_freed(tmp_path: Path) -> None:
    """Where processes share a log their lock is free again afterwards, and still there."""
    make(tmp_path, "a.log", ".a.log.lock")
    (log,) = find_logs(tmp_path)
    assert byhand.rotate(log, NOON) == tmp_path / "a.log.1"
    with (tmp_path / ".a.log.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        (Bounds(count=2), {"a.log", "a.log.1", "a.log.2.gz"}),
        (Bounds(count=0), {"a.log"}),
        (Bounds(max_age=250.0), {"a.log", "a.log.1", "a.log.2.gz"}),
        (Bounds(max_total=6), {"a.log", "a.log.1"}),
        (Bounds(count=9, max_total=10_000), {"a.log", "a.log.1", "a.log.2.gz", "a.log.3", "a.log.4"}),
    ],
    ids=range(5),
)
def test_clean_up_by_hand(bounds: Bounds, left: set[str], tmp_path: Path) -> None:
    """The oldest files go until the rest is within the bounds; strangers, live and young unfinished files stay."""
    make(tmp_path, "a.log", *STRANGERS)
    for age, name in enumerate(("a.log.1", "a.log.2.gz", "a.log.3", "a.log.4"), 1):
        make(tmp_path, name, modified=1e9 - 100 * age)
    make(tmp_path, ".a.log.1.gz.tmp")
    make(tmp_path, ".a.log.2.gz.tmp", modified=1e9 - 10_000)
    before = names_in(tmp_path)
    (log,) = (log for log in find_logs(tmp_path) if log.live.name == "a.log")
    would = {file.path.name for file in byhand.clean(log, bounds, NOON, 1e9, dry_run=True)}
    assert names_in(tmp_path) == before
    gone = {file.path.name for file in byhand.clean(log, bounds, NOON, 1e9, dry_run=False)}
    assert would == gone == before - names_in(tmp_path)
    assert names_in(tmp_path) == left | set(STRANGERS) | {".a.log.1.gz.tmp"}

"""The rotated files of a log: known in their order, renamed without loss, and nobody else's."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from crashes import crashes

from dblog.files.rotated.backups import Backups
from dblog.files.rotated.names import FileNames
from dblog.files.settings import Naming

WALL = datetime(2026, 11, 21, 13, 30)  # noqa: DTZ001 - names know no zones


def backups_of(folder: Path, naming: Naming = "index", wall: datetime = WALL) -> Backups:
    """The rotated files of `app.log` in a folder."""
    backups = Backups(FileNames(folder / "app.log", naming))
    backups.scan(wall)
    return backups


def content(folder: Path) -> dict[str, str]:
    """Each file of a folder by its name."""
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def rotate(backups: Backups, text: str, wall: datetime = WALL) -> str:
    """Put a file away; returns the name that it has got."""
    target = backups.make_way(wall)
    assert not os.path.lexists(target)
    target.write_text(text)
    backups.add(target)
    return target.name


def test_plain_and_compressed_files_move_up_together(tmp_path: Path) -> None:
    """Each index moves up by one, whatever its packing, and both forms of one index together."""
    for name in ("app.log.1", "app.log.2.gz", "app.log.3", "app.log.3.zst"):
        (tmp_path / name).write_text(name)
    backups = backups_of(tmp_path)
    assert rotate(backups, "new") == "app.log.1"
    assert content(tmp_path) == {
        "app.log.1": "new",
        "app.log.2": "app.log.1",
        "app.log.3.gz": "app.log.2.gz",
        "app.log.4": "app.log.3",
        "app.log.4.zst": "app.log.3.zst",
    }
    assert [backup.name for backup in reversed(backups)][:3] == ["app.log.1", "app.log.2", "app.log.3.gz"]
    assert backups.total_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_gap_is_filled_first(tmp_path: Path) -> None:
    """Files above a free index stay where they are."""
    for index in (1, 2, 4):
        (tmp_path / f"app.log.{index}").write_text(str(index))
    rotate(backups_of(tmp_path), "new")
    assert content(tmp_path) == {"app.log.1": "new", "app.log.2": "1", "app.log.3": "2", "app.log.4": "4"}


def test_a_crash_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    """Wherever a shift is interrupted, the next one has every file once, in the same order."""
    folder = tmp_path / "logs"

    def prepare() -> None:
        folder.mkdir()
        for name in ("app.log.1.gz", "app.log.2", "app.log.3.gz"):
            (folder / name).write_text(name)

    prepare()
    for _ in crashes(lambda: backups_of(folder).make_way(WALL)):
        rotate(backups_of(folder), "new")
        found = [(folder / backup.name).read_text() for backup in backups_of(folder)]
        assert found == ["app.log.3.gz", "app.log.2", "app.log.1.gz", "new"]
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        prepare()


def test_foreign_files_are_never_touched(tmp_path: Path) -> None:
    """Similar names, and folders and links with names like ours, stay where they are with what is in them."""
    foreign = ["app.log.bak", "app.log.1.orig", "app.log2", "app-2.log", "app.log.20261121", "other.log.1"]
    for name in foreign:
        (tmp_path / name).write_text(name)
    (tmp_path / "app.log.1").mkdir()
    (tmp_path / "app.log.3.gz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "app.log.2").write_text("mine")
    backups = backups_of(tmp_path)
    assert [backup.name for backup in backups] == ["app.log.2"]
    assert rotate(backups, "new") == "app.log.2"
    assert rotate(backups, "newer") == "app.log.2"
    assert [backup.name for backup in backups] == ["app.log.5", "app.log.4", "app.log.2"]
    assert (tmp_path / "app.log.1").is_dir()
    assert (tmp_path / "app.log.3.gz").is_symlink()
    assert all((tmp_path / name).read_text() == name for name in foreign)


def test_a_file_that_appears_is_not_overwritten(tmp_path: Path) -> None:
    """What somebody puts at an index, or at the time of now, after the folder was looked at is kept."""
    backups = backups_of(tmp_path)
    for index in (1, 2):
        rotate(backups, f"mine {index}")
    (tmp_path / "app.log.3").write_text("restored")
    rotate(backups, "new")
    assert sorted(content(tmp_path).values()) == ["mine 1", "mine 2", "new", "restored"]
    stamped = backups_of(tmp_path, "timestamp")
    (tmp_path / "app.20261121_133000.log.gz").write_text("compressed")
    assert rotate(stamped, "newest") == "app.20261121_133000_1.log"


def test_a_file_that_disappears_is_forgotten(tmp_path: Path) -> None:
    """A rotated file that somebody has deleted does not hinder the next rotation."""
    backups = backups_of(tmp_path)
    for text in ("one", "two", "three"):
        rotate(backups, text)
    (tmp_path / "app.log.2").unlink()
    rotate(backups, "four")
    assert content(tmp_path) == {"app.log.1": "four", "app.log.2": "three", "app.log.4": "one"}
    oldest = next(iter(backups))
    (tmp_path / oldest.name).unlink()
    assert backups.remove(oldest) == 0
    assert len(backups) == 2


@pytest.mark.parametrize("naming", ["timestamp", "date"])
def test_many_rotations_of_one_second_keep_their_order(tmp_path: Path, naming: Naming) -> None:
    """Files of the same time get names of their own, and after a restart they are in order."""
    backups = backups_of(tmp_path, naming)
    texts = [f"{number:02}" for number in range(25)]
    names = [rotate(backups, text) for text in texts]
    assert len(set(names)) == len(names)
    assert [(tmp_path / backup.name).read_text() for backup in backups_of(tmp_path, naming)] == texts


def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path) -> None:
    """After the end of summer time, or a correction, files stay in order and none is overwritten."""
    backups = backups_of(tmp_path, "timestamp")
    walls = [WALL, WALL - timedelta(hours=1), WALL - timedelta(minutes=59), WALL, WALL + timedelta(seconds=1)]
    for number, wall in enumerate(walls):
        rotate(backups, str(number), wall)
    last = walls[-1]
    assert [(tmp_path / backup.name).read_text() for backup in backups_of(tmp_path, "timestamp", last)] == list("01234")


def test_a_name_from_a_far_future_counts_as_old(tmp_path: Path) -> None:
    """What a wrong clock has named is older than all that is rotated since, and does not give others its time."""
    (tmp_path / "app.20990101_000000.log").write_text("wrong")
    backups = backups_of(tmp_path, "timestamp")
    assert rotate(backups, "right") == "app.20261121_133000.log"
    assert [backup.name for backup in backups_of(tmp_path, "timestamp")] == [
        "app.20990101_000000.log",
        "app.20261121_133000.log",
    ]


def test_another_naming_leaves_no_orphans(tmp_path: Path) -> None:
    """Files of a former naming are known, in the order in which they were written, as older than all others."""
    for index, time in ((1, 300), (2, 200)):
        (tmp_path / f"app.log.{index}").write_text("")
        os.utime(tmp_path / f"app.log.{index}", (time, time))
    (tmp_path / "app.20261121_133000.log").write_text("")
    names = [backup.name for backup in backups_of(tmp_path, "timestamp")]
    assert names == ["app.log.2", "app.log.1", "app.20261121_133000.log"]


def test_no_folder_has_no_files(tmp_path: Path) -> None:
    """A folder that is not there yet is an empty one."""
    assert len(backups_of(tmp_path / "missing")) == 0


def test_a_name_that_has_another_file_by_now_is_left_alone(tmp_path: Path) -> None:
    """Where another process has renamed the files, the name of the oldest one may be that of a younger: it stays."""
    for index in (1, 2):
        (tmp_path / f"app.log.{index}").write_text(str(index))
    backups = backups_of(tmp_path)
    rotate(backups_of(tmp_path), "0")
    assert [backups.remove(backup) for backup in list(backups)] == [0, 0]
    assert content(tmp_path) == {"app.log.1": "0", "app.log.2": "1", "app.log.3": "2"}

"""Where the spool is when nobody says."""

import os
from pathlib import Path

import pytest

from dblog import spooldir


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user with a home, who is not root and for whom nobody has set anything up."""
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(spooldir, "SYSTEM", tmp_path / "var" / "lib" / "dblog")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    return tmp_path


def test_none_is_no_folder() -> None:
    """`none` means that records wait in memory only."""
    assert spooldir.resolve("none") is None


def test_a_path_is_taken_as_it_is(somebody: Path) -> None:
    """A path is made absolute, and ~ is the user's home."""
    assert spooldir.resolve("~/spool") == somebody / "spool"
    assert spooldir.resolve("here") == Path.cwd() / "here"


def test_a_service_has_the_state_directory_of_systemd(somebody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd gives a service counts before everything else; of several the first."""
    monkeypatch.setenv("XDG_STATE_HOME", str(somebody / "xdg"))
    monkeypatch.setenv("STATE_DIRECTORY", f"{somebody}/state:{somebody}/other")
    assert spooldir.resolve("auto") == somebody / "state" / "dblog" / "spool"


def test_a_user_has_the_state_home(somebody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names a folder for state, the spool is there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(somebody / "xdg"))
    assert spooldir.resolve("auto") == somebody / "xdg" / "dblog" / "spool"


def test_a_container_has_a_volume(somebody: Path) -> None:
    """A system folder that is there and may be written to is taken before the home."""
    spooldir.SYSTEM.mkdir(parents=True)
    assert spooldir.resolve("auto") == spooldir.SYSTEM / "spool"


def test_else_it_is_in_the_home(somebody: Path) -> None:
    """A user for whom nothing was set up has it in the home."""
    assert spooldir.resolve("auto") == somebody / ".local" / "state" / "dblog" / "spool"


def test_root_makes_the_system_folder(somebody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has the system folder, though nobody made it yet."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert spooldir.resolve("auto") == spooldir.SYSTEM / "spool"


def test_a_user_without_a_home_has_a_folder_that_outlives_a_restart(
    somebody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home it is below /var/tmp, by the user's number."""
    monkeypatch.setenv("HOME", "/nonexistent")
    assert spooldir.resolve("auto") == Path("/var/tmp/dblog-54321/spool")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_shared_folder_of_somebody_else_is_refused(
    somebody: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """What another user has put in our place below /var/tmp is never written to."""
    shared = tmp_path / "tmp"
    monkeypatch.setattr(spooldir, "SHARED", shared)
    monkeypatch.setenv("HOME", "/nonexistent")
    ours = shared / "dblog-54321"
    shared.mkdir()
    if kind == "folder":
        ours.mkdir()  # by the user who runs the tests, not by 54321
    else:
        ours.symlink_to(tmp_path)
    assert spooldir.resolve("auto") is None

"""Which directory the commands of the spool look into, and which ones they refuse."""

from pathlib import Path

import pytest
from spooled import NOWHERE, leave

from dblog.cli.main import run


def test_a_directory_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--spool-dir` must be a directory: one line, exit code 2."""
    file = tmp_path / "file"
    file.write_text("")
    for path, what in ((file, "is not a directory"), (tmp_path / "missing", "does not exist")):
        assert run(["writers", "--spool-dir", str(path)]) == 2
        assert capsys.readouterr().err == f"dblog: error: --spool-dir: '{path}' {what}\n"


def test_a_directory_that_is_no_spool_is_refused(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is one level too high or too low, something else or nothing is said so, with the path that was meant."""
    home = directory / leave(directory, NOWHERE, "left")
    (directory / "rejected").mkdir()
    for given, complaint in (
        ("", "'' is no directory; accepted: a path, or auto"),
        ("none", "'none': nothing is kept on disk"),
        (str(home), f"is the directory of one writer: give '{directory}'"),
        (str(directory / "rejected"), f"is a part of a spool: give '{directory}'"),
        (str(directory.parent), f"is no spool, but has some below it: give '{directory}'"),
        ("/etc", "is no spool: it holds other files, and no writer's directory"),
    ):
        for arguments in (["writers"], ["spool", "ls"], ["replay", "--dsn", NOWHERE]):
            assert run([*arguments, "--spool-dir", given]) == 2, given
            out, err = capsys.readouterr()
            assert (out, err.count("\n"), complaint in err) == ("", 1, True), err
    monkeypatch.setenv("STATE_DIRECTORY", str(directory.parent))
    directory.rename(directory.parent / "moved")
    (directory.parent / "dblog").mkdir()
    (directory.parent / "moved").rename(directory.parent / "dblog" / "spool")
    assert run(["writers", "--spool-dir", "auto"]) == 1
    assert home.name in capsys.readouterr().out


def test_the_setting_decides_without_the_option(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`logging.database.spool_dir` is used, no database need be configured, and nothing need be there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__SPOOL_DIR", str(directory))
    assert run(["writers"]) == 0
    assert capsys.readouterr().out == f"0 writers in {directory}: nothing is held back\n"
    writer_id = leave(directory, NOWHERE, "left")
    assert run(["writers"]) == 1
    assert writer_id in capsys.readouterr().out
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__SPOOL_DIR", "none")
    assert run(["writers"]) == 2
    assert "logging.database.spool_dir: 'none': nothing is kept on disk" in capsys.readouterr().err


def test_a_broken_configuration_is_not_asked_where_the_directory_is_given(directory: Path, tmp_path: Path) -> None:
    """With `--spool-dir` the command works whatever is wrong with the configuration."""
    broken = tmp_path / "config.yml"
    broken.write_text("logging: [")
    assert run(["writers", "--config", str(broken), "--spool-dir", str(directory)]) == 0
    assert run(["writers", "--config", str(broken)]) == 2

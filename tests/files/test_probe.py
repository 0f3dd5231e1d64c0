"""The file by which a disk is tested before a log file is written again: nothing of it stays, whatever happens."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually

from dblog.files.fulldisk.disk_state import DiskState
from dblog.files.fulldisk.recovery import Recovery
from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.rotated.names import FileNames
from dblog.selflog import Announcer

MakeHandler = Callable[..., ResilientRotatingFileHandler]


def opened_by_a_recovery(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a file recover, and tell the names of all that was opened in between."""
    opened: list[str] = []
    original = os.open

    def watch(target: str | Path, *arguments: Any) -> int:
        opened.append(os.fspath(target))
        return original(target, *arguments)

    recovery = Recovery(
        path,
        DiskState(0.01),
        min_free=0,
        reopen=path.touch,
        make_room=lambda error: None,
        tell=lambda change: None,
        announcer=Announcer(),
    )
    monkeypatch.setattr(os, "open", watch)
    recovery.failed(OSError(errno.EMFILE, "x"))
    eventually(lambda: not recovery.state.is_degraded, "the recovery")
    recovery.close(30.0)
    return opened


def test_it_has_no_name(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made without a name, so that a process which is killed at any moment leaves nothing behind."""
    opened = opened_by_a_recovery(log_path, monkeypatch)
    assert opened[-1] == str(log_path.parent)
    assert not [name for name in opened if "probe" in name]


def test_its_name_where_it_has_to_have_one(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a system has no files without names it is gone at the end, and has a name that the next start knows."""
    monkeypatch.delattr(os, "O_TMPFILE")
    (name,) = (Path(name).name for name in opened_by_a_recovery(log_path, monkeypatch) if "probe" in name)
    assert FileNames(log_path, "index").is_unfinished(name)
    assert [path.name for path in log_path.parent.iterdir()] == [log_path.name]


def test_what_a_killed_process_left(log_path: Path, make_handler: MakeHandler) -> None:
    """The next start deletes what is left over, and nothing that is named in another way."""
    names = [f".{log_path.name}.4711.probe.tmp", f".{log_path.name}.4711.probe", f".{log_path.name}.probe.tmp"]
    for name in names:
        log_path.with_name(name).touch()
    make_handler()
    assert sorted(path.name for path in log_path.parent.iterdir()) == sorted([*names[1:], log_path.name])

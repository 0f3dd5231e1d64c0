"""A user without rights: on a read-only system with one writable volume, and where the rights do not suffice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import IMPORTABLE, TIMEOUT
from storms import lines_in, of

APPLICATION = Path(__file__).with_name("unprivileged_app.py")
USER = 1000

AS_A_USER = """
set -e
mount --make-rprivate /
if [ "$VOLUME" ]; then
    mount --bind "$VOLUME" "$VOLUME"
    mount -o remount,bind,ro /
fi
exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all,+dac_read_search \
    --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search "$@"
"""
"""What may be read stays as it is for root, because the interpreter may be where nobody else can read it; what may be
written is decided by the rights of user 1000 alone."""


def run_as_user(folder: Path, lines: int = 1000, volume: Path | None = None, **options: object) -> dict[str, Any]:
    """Run the application as user 1000, in mounts of its own; with a volume, everything else is read-only."""
    program = [sys.executable, "-B", str(APPLICATION), str(folder), json.dumps(options), str(lines)]
    command = ["unshare", "--mount", "sh", "-c", AS_A_USER, "sh", *program]
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("NO OTHER USER: a test of what a user without rights can do needs root and mount namespaces")
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": IMPORTABLE, "VOLUME": str(volume or "")},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["uid"] == USER
    return {**report, "stderr": done.stderr}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the user's."""
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


@pytest.mark.parametrize("buffer_size", [0, 65_536], ids=["unbuffered", "buffered"])
def test_one_writable_volume(own: Path, buffer_size: int) -> None:
    """On a read-only root everything works below the one folder that may be written, rotation and gzip included."""
    report = run_as_user(
        own / "deep" / "logs",
        volume=own,
        maxBytes=10_000,
        backupCount=100,
        max_total_bytes=10_000_000,
        compression="gzip",
        multi_process=True,
        buffer_size=buffer_size,
    )
    assert report["root_is_read_only"]
    assert (report["error"], report["degraded"], report["stderr"]) == ("", False, "")
    assert report["rotations"] >= 5
    assert lines_in(of(own / "deep" / "logs" / "app.log")) == {(0, number) for number in range(1000)}
    assert {path.stat().st_uid for path in own.rglob("*")} == {USER}


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """The real EACCES: a file that cannot be made is told of at once, with its path, as by the standard handler."""
    (tmp_path / "foreign").mkdir(mode=0o755)
    report = run_as_user(tmp_path / "foreign")
    assert "Permission denied" in report["error"]
    assert str(tmp_path / "foreign" / "app.log") in report["error"]


def test_a_folder_in_which_nothing_may_be_renamed(own: Path, tmp_path: Path) -> None:
    """The real EACCES of a rotation: the alert says so where it may be written, and the file takes all lines."""
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o755)
    live = foreign / "app.log"
    live.touch()
    os.chown(live, USER, USER)
    report = run_as_user(foreign, maxBytes=10_000, backupCount=5, alert_path=str(own / "alert.txt"))
    assert (report["error"], report["degraded"], report["rotations"]) == ("", False, 0)
    assert lines_in([live]) == {(0, number) for number in range(1000)}
    alert = (own / "alert.txt").read_text(encoding="utf-8")
    assert "Permission denied" in alert
    assert str(live) in alert

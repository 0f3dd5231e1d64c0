"""The handler of a user who may write the file, may not for a while, and may again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from disks import small_disk
from programs import IMPORTABLE, TIMEOUT

HERE = Path(__file__).parent


def reach(folder: Path) -> None:
    """Let everybody through to a folder in a temporary one that only its owner may enter."""
    for each in folder.parents:
        if each.stat().st_uid == os.geteuid() and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)


def test_a_file_that_may_not_be_written_for_a_while(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The real EACCES of another user: lines go to the fallback stream, and to the file once it may be written."""
    if os.geteuid() != 0:
        pytest.skip("NO OTHER USER: only root can become one who may not write")
    with small_disk(tmp_path_factory.mktemp("other") / "disk", 4) as folder:
        (folder / "logs").mkdir()
        reach(folder)
        done = subprocess.run(
            [sys.executable, HERE / "degraded_app.py", folder / "logs"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((IMPORTABLE, str(HERE.parent)))},
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    assert done.returncode == 0, done.stderr
    fallen_back, report = done.stdout.splitlines()
    assert fallen_back == "while it may not"
    assert json.loads(report) == {"degraded": True, "lines": ["while it may be written", "again"]}
    assert "cannot be written since" in done.stderr
    assert "Permission denied" in done.stderr

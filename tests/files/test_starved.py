"""Limits of the process and mounts that change under a handler: it goes on, and takes up its file again."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from disks import read_only, small_disk
from eventually import eventually
from programs import IMPORTABLE, TIMEOUT
from storms import Storm, lines_in, of

from dblog import ResilientRotatingFileHandler

HERE = Path(__file__).parent


def test_no_descriptors(tmp_path: Path) -> None:
    """The real EMFILE: a process that may open no file loses no line, and writes its new file when it may again."""
    live, fallback = tmp_path / "logs" / "app.log", tmp_path / "fallback"
    done = subprocess.run(
        [sys.executable, HERE / "starved_app.py", live, fallback],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((IMPORTABLE, str(HERE.parent)))},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert report["degraded"] == [True, True]
    in_files, on_fallback = lines_in(of(live)), lines_in([fallback])
    assert in_files | on_fallback == {(thread, number) for thread, number in report["emitted"]}
    assert len(on_fallback) == report["fallback_lines"] > 0
    assert report["state"] == "closed"


def test_a_disk_that_becomes_read_only(tmp_path: Path) -> None:
    """The real EROFS: rotation waits while nothing can be renamed, the open file takes the lines, later it rotates."""
    fallback = tmp_path / "fallback"
    with small_disk(tmp_path / "disk", 8) as disk, fallback.open("w") as stream:
        live = disk / "app.log"
        with closing(
            ResilientRotatingFileHandler(
                live,
                maxBytes=3_000,
                backupCount=1_000,
                fallback_stream=stream,
                emergency_cleanup_threshold_mb=0,
                recovery_check_interval_sec=0.05,
            )
        ) as handler:
            storm = Storm(handler, 5)
            storm.blow(20)
            with read_only(disk):
                before = handler.metrics().rotation_count
                storm.blow(100)
                assert handler.metrics().rotation_count == before
            eventually(lambda: not handler.is_degraded, "the recovery")

            def rotates() -> bool:
                storm.blow(1)
                return handler.metrics().rotation_count > before

            eventually(rotates, "the next rotation")
        in_files, on_fallback = lines_in(of(live)), lines_in([fallback])
    assert in_files | on_fallback == storm.emitted
    assert not in_files & on_fallback


def test_a_file_that_is_deleted_or_moved_away(tmp_path: Path) -> None:
    """What others do to the file, as logrotate does, is noticed: the next lines are in a new file of that name."""
    live = tmp_path / "app.log"
    with closing(ResilientRotatingFileHandler(live)) as handler:
        storm = Storm(handler, 5)
        storm.blow(20)
        live.rename(tmp_path / "app.log.moved")

        def is_back() -> bool:
            storm.blow(1)
            return live.exists()

        eventually(is_back, "the new file")
        assert lines_in(of(live)) == storm.emitted
        live.unlink()
        eventually(is_back, "the new file")
        storm.blow(20)
    assert lines_in([live]) >= {line for line in storm.emitted if line[1] >= storm.blown - 20}

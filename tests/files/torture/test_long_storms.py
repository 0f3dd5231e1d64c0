"""A hundred threads, a million lines, disks that fill up again and again: the account is right to the line."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from disks import fill, small_disk, small_ext4
from eventually import eventually
from storms import Storm, lines_in, of

from dblog import ResilientRotatingFileHandler

pytestmark = pytest.mark.torture

Disk = Callable[[Path, int], AbstractContextManager[Path]]


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("buffer_size", [0, 65_536], ids=["unbuffered", "buffered"])
def test_a_million_lines(tmp_path: Path, buffer_size: int, compression: str) -> None:
    """A hundred threads log ten thousand lines each through hundreds of rotations: each is there once, and whole."""
    live = tmp_path / "app.log"
    with closing(
        ResilientRotatingFileHandler(
            live, maxBytes=200_000, backupCount=10_000, compression=compression, buffer_size=buffer_size
        )
    ) as handler:
        storm = Storm(handler, 100)
        storm.blow(10_000)
    assert lines_in(of(live)) == storm.emitted


@pytest.mark.parametrize("disk", [small_disk, small_ext4], ids=["tmpfs", "ext4"])
@pytest.mark.parametrize(
    "arguments", [{}, {"buffer_size": 65_536}, {"maxBytes": 40_000, "backupCount": 10_000, "naming": "timestamp"}]
)
def test_a_disk_that_fills_up_thirty_times(tmp_path: Path, disk: Disk, arguments: dict[str, Any]) -> None:
    """Full and freed thirty times under 20 threads, the files and the fallback stream have every line once."""
    fallback = tmp_path / "fallback"
    with disk(tmp_path / "disk", 32) as folder, fallback.open("w") as stream:
        live = folder / "app.log"
        with closing(
            ResilientRotatingFileHandler(
                live,
                **arguments,
                fallback_stream=stream,
                emergency_cleanup_threshold_mb=0,
                recovery_check_interval_sec=0.05,
            )
        ) as handler:
            storm = Storm(handler, 20)
            for _ in range(30):
                storm.blow(200)
                ballast = fill(folder)
                os.truncate(ballast, ballast.stat().st_size - 32 * 1024)
                os.sync()
                storm.blow(200)
                handler.flush()
                assert handler.is_degraded
                ballast.unlink()
                os.sync()
                eventually(lambda: not handler.is_degraded, "the recovery")
        in_files, on_fallback = lines_in(of(live)), lines_in([fallback])
    assert in_files | on_fallback == storm.emitted
    assert not in_files & on_fallback

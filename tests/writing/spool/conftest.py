"""Batches to spool, and spools that are let go of at the end of a test."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dblog.batch import Batch, BatchKey
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.segments import Trouble
from dblog.sinks.spool import Spool


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """A function that makes the batch `seq` of a writer, with `rows` rows of about `width` bytes."""

    def make(seq: int, *, writer: int = 1, levels: Mapping[int, int] | None = None, width: int = 20) -> Batch:
        levels = {20: 2, 40: 1} if levels is None else levels
        writer_id = f"{writer:032x}"
        lines = [
            f"{writer_id}\t{seq}\t2026-11-21 10:00:0{index % 2}.000001+00\t{level}\t{index}".ljust(width, "x") + "\n"
            for level, rows in levels.items()
            for index in range(rows)
        ]
        return Batch(
            key=BatchKey("2026-11-21", writer_id, seq),
            payload="".join(lines).encode(),
            levels=Counter(levels),
            time_from="2026-11-21 10:00:00.000001+00" if levels else None,
            time_to="2026-11-21 10:00:01.000001+00" if levels else None,
            accepted=seq * 3,
            closing=not levels,
        )

    return make


@pytest.fixture
def troubles() -> list[Trouble]:
    """What the spools of this test reported."""
    return []


@pytest.fixture
def make_spool(tmp_path: Path, troubles: list[Trouble]) -> Iterator[Callable[..., Spool]]:
    """A function that makes the spool of a writer below `tmp_path / "spool"`."""
    made: list[Spool] = []

    def make(writer: int = 1, *, directory: Path | None = None, target: str = "here", **options: Any) -> Spool:
        place = tmp_path / "spool" if directory is None else directory
        spool = Spool(place, writer_id=f"{writer:032x}", target=target, report=troubles.append, **options)
        made.append(spool)
        return spool

    yield make
    for spool in made:
        spool.abandon()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The directory of writer 1."""
    return tmp_path / "spool" / f"{1:032x}"


@pytest.fixture(scope="session")
def header() -> Header:
    """The header of the segments that `make_spool` makes."""
    return frames.make_header("here", COLUMN_NAMES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a full disk is NOT tested: mounting a tmpfs takes Linux and root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a full disk is NOT tested: mounting a tmpfs failed: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def rejected(tmp_path: Path) -> Path:
    """The directory for rows that were set aside."""
    return tmp_path / "spool" / "rejected"

"""Files of 200 bytes: thousands of rotations, and every line is there once."""

from contextlib import closing
from pathlib import Path

import pytest
from storms import Storm, lines_in, of

from dblog import ResilientRotatingFileHandler

MAX_BYTES = 200


@pytest.mark.parametrize("buffer_size", [0, 65_536], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize(
    ("naming", "lines"),
    [("index", 2_000), ("timestamp", 3_000), pytest.param("timestamp", 100_000, marks=pytest.mark.torture)],
)
def test_every_line_is_there_once(tmp_path: Path, naming: str, lines: int, threads: int, buffer_size: int) -> None:
    """With enough backups no line is lost or doubled, and no file is larger than it may be."""
    live = tmp_path / "app.log"
    with closing(
        ResilientRotatingFileHandler(
            live, maxBytes=MAX_BYTES, backupCount=100_000, naming=naming, buffer_size=buffer_size
        )
    ) as handler:
        storm = Storm(handler, threads)
        storm.blow(lines // threads)
    files = of(live)
    assert lines_in(files) == storm.emitted
    assert max(path.stat().st_size for path in files) <= MAX_BYTES
    assert len(files) == -(-lines // 3)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_order_of_lines_is_that_of_the_files(tmp_path: Path, compression: str) -> None:
    """Read from the oldest backup to the live file, the lines are in the order in which they were logged."""
    live = tmp_path / "app.log"
    with closing(
        ResilientRotatingFileHandler(live, maxBytes=MAX_BYTES, backupCount=1000, compression=compression)
    ) as handler:
        storm = Storm(handler, 1)
        storm.blow(300)
    backups = sorted((path for path in of(live) if path != live), key=lambda path: -int(path.name.split(".")[2]))
    lines = [line for path in (*backups, live) for line in sorted(lines_in([path]))]
    assert lines == sorted(storm.emitted)


def test_a_line_longer_than_the_file_is_kept_whole(tmp_path: Path) -> None:
    """A line that fits no file gets one of its own."""
    live = tmp_path / "app.log"
    with closing(
        ResilientRotatingFileHandler(live, maxBytes=MAX_BYTES, backupCount=1000, max_total_bytes=1_000_000)
    ) as handler:
        storm = Storm(handler, 5, width=500)
        storm.blow(20)
    assert lines_in(of(live)) == storm.emitted

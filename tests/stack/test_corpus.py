"""Text as it is met in the wild, and worse, goes in as messages and comes out of the table as it was."""

import logging
import os
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from servers import Database

from dblog import DatabaseLogHandler

THREADS = 4
TIMEOUT = 60.0
PREFIX = "corpus."

Lines = dict[str, list[str]]
"""What is logged, by the last part of the logger's name."""

HOSTILE = [
    "",
    " ",
    "\\.",
    "\\N",
    "\\",
    "\\\\n is no line break, \\t no tab, \\x1e no separator",
    "a\tb\tc",
    "one\r\ntwo\rthree\nfour\n",
    "\n\\.\n",
    "\x1b[31mred\x1b[0m \x1b]0;a title\x07 \x1b[2J\x9b1A",
    "a frame ends with \x1e, a unit with \x1f, a file with \x1c, all with \x04",
    "NUL \0 and \0\0 twice",
    "\udc80\udcff undecodable, \ud800 alone, \udc00\ud800 the wrong way round",
    "\\x00 and \\udc80 as somebody wrote them",
    "%s %d %(name)s %% {} {0!r} ${shell} 100%",
    "'; DROP TABLE dblog_logs; --",
    "e\u0301 is not \u00e9, \u202eright to left\u202c, \u2028 and \u2029 part lines, \ufeff\ufffe\uffff",
    "👩\u200d👩\u200d👧\u200d👦 🇳🇵 \U0010ffff",
    "".join(map(chr, range(256))),
    "x" * 1_000_000,
    "€" * 300_000,
    "\n" * 100_000,
    "\\" * 100_000,
]


def test_hostile_lines_come_back_as_they_were(database: Database) -> None:
    """Control characters, escape sequences, COPY's own syntax and long lines stay; what cannot be stored is shown."""
    assert_comes_back(database, {"hostile": HOSTILE, "again": HOSTILE[::-1]})


def test_every_code_point_comes_back(database: Database) -> None:
    """All 17 planes of Unicode go into the table and come back; surrogates and NUL are shown as Python shows them."""
    step = 4096
    points = [range(start, min(start + step, sys.maxunicode + 1)) for start in range(0, sys.maxunicode + 1, step)]
    assert_comes_back(database, {"planes": ["".join(map(chr, each)) for each in points]})


def test_a_corpus_of_real_log_lines_comes_back_as_it_was(database: Database) -> None:
    """Each line of each `*.log` file of the folder that `DBLOG_CORPUS` names is a row, in the order of the file."""
    folder = os.environ.get("DBLOG_CORPUS")
    if not folder:
        pytest.skip("NO CORPUS: DBLOG_CORPUS does not name a folder of *.log files")
    files = {path.stem: read_lines(path) for path in sorted(Path(folder).glob("*.log"))}
    assert any(files.values()), f"DBLOG_CORPUS: no lines in *.log files in {folder}"
    assert_comes_back(database, files)


def assert_comes_back(database: Database, lines: Lines) -> None:
    """Log from several threads, one logger at a time in each, and compare with the table and the figures."""
    with closing(DatabaseLogHandler(database.dsn, batch_size=1000, close_timeout=TIMEOUT)) as handler:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda name: log_all(handler, name, lines[name]), lines))
        assert handler.flush(TIMEOUT)
    stats = handler.stats()
    found = rows_of(database)
    assert found.keys() == {name for name in lines if lines[name]}
    for name, rows in found.items():
        assert len(rows) == len(lines[name]), name
        for number, (row, line) in enumerate(zip(rows, lines[name], strict=True), 1):
            assert row == as_stored(line), f"{name}, line {number}"
    assert stats.emitted == stats.stored
    assert sum(stats.emitted.values()) == sum(map(len, lines.values()))
    assert stats.repaired == sum(as_stored(line) != line for each in lines.values() for line in each)


def log_all(handler: logging.Handler, name: str, lines: list[str]) -> None:
    """Log each line, every other one as an argument; a logger of its own leaves the global ones as they are."""
    logger = logging.Logger(PREFIX + name)
    logger.addHandler(handler)
    for number, line in enumerate(lines):
        if number % 2:
            logger.info("%s", line)
        else:
            logger.info(line)


def rows_of(database: Database) -> Lines:
    """The messages of each logger in the order of their arrival."""
    found: Lines = defaultdict(list)
    with database.connect() as connection:
        for name, message in connection.execute("SELECT logger_name, message FROM dblog_logs ORDER BY id"):
            found[name.removeprefix(PREFIX)].append(message)
    return found


def read_lines(path: Path) -> list[str]:
    """The lines of a file as Python decodes what it cannot trust."""
    return [line.decode("utf-8", "surrogateescape") for line in path.read_bytes().splitlines()]


def as_stored(line: str) -> str:
    r"""PostgreSQL's text has neither NUL nor surrogates: they are shown as `\x00` and `\udc80`."""
    return line.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()

"""A long outage's worth of records in the spool: delivered in bounded memory, and beside fresh ones."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path

import pytest
from eventually import eventually
from programs import IMPORTABLE
from servers import Database
from spooled import batch_of, open_spool

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]

WRITERS = 4
BATCHES = 25
MEBIBYTE = 1024 * 1024

# Between the test and the command, whose peak would else be no less than that of the process that started it.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
os._exit(os.waitstatus_to_exitcode(status))
"""

MANY = pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.torture)])


def leave(directory: Path, dsn: str, rows: int) -> None:
    """Be some writers that die and leave so many rows together, numbered, in full batches."""
    size = rows // WRITERS // BATCHES
    for first in range(0, rows, size * BATCHES):
        spool = open_spool(directory, dsn, writer_id := f"{first:032x}")
        for seq in range(BATCHES):
            numbers = range(first + seq * size, first + (seq + 1) * size)
            spool.append(batch_of(writer_id, seq + 1, *(f"left {number}" for number in numbers)))
        spool.abandon()


def numbers_of(database: Database, kind: str) -> tuple[int, int, int]:
    """How many records of a kind are in the table, how many different ones, and the largest number plus one."""
    query = (
        "SELECT count(*), count(DISTINCT message), coalesce(max(split_part(message, ' ', 2)::int), -1) + 1 "
        "FROM dblog_logs WHERE message LIKE %s"
    )
    with database.connect() as connection:
        found = connection.execute(query, [f"{kind} %"]).fetchone()
    assert found is not None
    return found


@MANY
def test_a_replay_in_bounded_memory(database: Database, tmp_path: Path, rows: int) -> None:
    """`dblog replay` delivers each row once, in less than 100 MB of memory however many there are."""
    leave(tmp_path, database.dsn, rows)
    command = [sys.executable, "-m", "dblog", "replay", "--dsn", database.dsn, "--spool-dir", str(tmp_path)]
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], check=True, stdout=subprocess.PIPE, cwd=IMPORTABLE, text=True
    )
    seconds, peak = time.perf_counter() - begun, int(done.stdout)
    print(f"{rows} rows in {seconds:.1f} s: {rows / seconds:,.0f} rows/s, peak memory {peak / MEBIBYTE:.0f} MiB")
    assert numbers_of(database, "left") == (rows, rows, rows)
    assert peak < 100 * 10**6
    assert list(tmp_path.iterdir()) == []


@MANY
def test_a_replay_beside_fresh_records(
    database: Database, make_handler: MakeHandler, attach: Attach, tmp_path: Path, rows: int
) -> None:
    """A handler delivers what others left and what is logged meanwhile, in turns: neither waits for the other's end."""
    leave(tmp_path, database.dsn, rows)
    handler = make_handler(database.dsn, spool_dir=tmp_path, batch_size=1000, flush_interval=0.01)
    logger = attach(handler)
    fresh = 0
    while glob(f"{tmp_path}/*/*.seg"):  # noqa: PTH207 - Path.glob fails where a folder goes while it looks
        for number in range(fresh, fresh + 100):
            logger.info("fresh %d", number)
        fresh += 100
        assert handler.flush(30)
    eventually(lambda: numbers_of(database, "left")[0] == rows, "the backlog to be stored")
    handler.close()
    print(f"{rows} rows were left, {fresh} were fresh")
    assert numbers_of(database, "left") == (rows, rows, rows)
    assert numbers_of(database, "fresh") == (fresh, fresh, fresh)
    assert fresh > 1000
    assert list(tmp_path.iterdir()) == []

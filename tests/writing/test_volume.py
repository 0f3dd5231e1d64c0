"""Many records from many threads: all of them arrive, each once, within the memory that the settings allow."""

import json
import subprocess
import sys

import pytest
from servers import Database

PROGRAM = """
import json, logging, resource, sys, threading
import dblog

dsn, threads, each, queue_bytes = sys.argv[1], *map(int, sys.argv[2:])
handler = dblog.DatabaseLogHandler(dsn, overflow="block", block_timeout=60, queue_max_bytes=queue_bytes)
logger = logging.getLogger("volume")
logger.setLevel(logging.DEBUG)
logger.addHandler(handler)
logger.info("warm up")
handler.flush(30)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def work(name):
    for number in range(each):
        logger.info("record %d of thread %d", number, name, extra={"number": number, "worker": name})

workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
handler.close(60)
stats = handler.stats()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
emitted, stored = stats.emitted.total(), stats.stored.total()
json.dump({"grown": (after - before) * 1024, "emitted": emitted, "stored": stored}, sys.stdout)
"""

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize("each", [5_000, pytest.param(125_000, marks=pytest.mark.torture)])
def test_all_records_of_eight_threads_arrive_once_in_bounded_memory(database: Database, each: int) -> None:
    """What eight threads log as fast as they can is in the table, nothing twice, and memory stays near the bound."""
    queue_bytes = 16 * MEBIBYTE
    arguments = [database.dsn, "8", str(each), str(queue_bytes)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=280
    )
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    with database.connect() as connection:
        rows, different = connection.execute(
            "SELECT count(*), count(DISTINCT extra_data) FROM dblog_logs WHERE extra_data IS NOT NULL"
        ).fetchone() or (0, 0)
        in_ledger = connection.execute("SELECT sum(rows_stored) FROM dblog_batches").fetchone()
    assert rows == different == 8 * each
    assert figures["emitted"] == figures["stored"] == rows + 1
    assert in_ledger == (rows + 1,)
    assert figures["grown"] <= queue_bytes + 25 * MEBIBYTE

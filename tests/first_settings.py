"""A program whose threads all make handlers at the same moment, the first ones of the process."""

import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dblog import DatabaseLogHandler, ResilientRotatingFileHandler

THREADS = 8
begin = threading.Barrier(THREADS)


def make(folder: str, number: int) -> int:
    """Make one handler of each kind; returns how many that were."""
    begin.wait()
    made = (
        DatabaseLogHandler("host=127.0.0.1 port=1", spool_dir="none"),
        ResilientRotatingFileHandler(Path(folder, f"{number}.log"), maxBytes=1000, backupCount=1),
    )
    for handler in made:
        handler.close()
    return len(made)


if __name__ == "__main__":
    sys.setswitchinterval(1e-6)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
        print(sum(pool.map(make, [folder] * THREADS, range(THREADS))), "handlers")

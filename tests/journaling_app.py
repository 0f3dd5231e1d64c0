"""A program that numbers its lines and says, once `append` has returned, which one it was; killed by the tests.

Arguments: the folder, the number of threads. Batches that it takes are "stored" as files, whole or not at all, before
they are settled, as the database would have them.
"""

import os
import sys
import threading
from itertools import count
from pathlib import Path

import journals


def main(folder: Path, threads: int) -> None:
    """Log without end in some threads, and take batches in another one."""
    journal = journals.make_journal(folder, max_bytes=200_000)
    queue = journals.make_queue(journal, batch_size=200)

    def store() -> None:
        while True:
            batch = queue.take(1, 1)
            if batch is not None:
                piece = folder / f"{batch.key.birth_day}-{batch.key.seq}"
                piece.write_bytes(batch.payload)
                piece.rename(piece.with_suffix(".stored"))
                journal.settle(batch.key)
                journal.sync()

    def log(thread: int) -> None:
        for number in count(thread * 10**8):
            queue.append(journals.line(number, width=50 + number % 500))
            os.write(1, b"%d\n" % number)

    workers = [threading.Thread(target=log, args=(thread,)) for thread in range(threads)]
    for worker in (threading.Thread(target=store), *workers):
        worker.start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

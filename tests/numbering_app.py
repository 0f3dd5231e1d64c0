"""A program that numbers its records thread by thread and says which of them are certain; killed by the tests.

Arguments: the connection string, the spool directory, the durability, a name, the number of threads, the seconds
between two records of a thread.

A line `THREAD NUMBER` on stdout says that this record and those before it are certain: with a journal when the logging
call has returned, in memory when a flush has.
"""

import logging
import os
import sys
import threading
from itertools import count

from dblog import DatabaseLogHandler

FLUSH_EVERY = 50


def main(dsn: str, spool_dir: str, durability: str, name: str, threads: int, pause: float) -> None:
    """Log without end in some threads."""
    handler = DatabaseLogHandler(
        dsn, spool_dir=spool_dir, durability=durability, service=name, batch_size=200, flush_interval=0.01
    )
    logger = logging.Logger(name)
    logger.addHandler(handler)
    never = threading.Event()

    def is_certain(number: int) -> bool:
        return durability == "journal" or (number % FLUSH_EVERY == 0 and handler.flush(60))

    def log(thread: int) -> None:
        for number in count():
            logger.info("%s %d %d", name, thread, number)
            if is_certain(number):
                os.write(1, b"%d %d\n" % (thread, number))
            never.wait(pause)

    for thread in range(threads):
        threading.Thread(target=log, args=(thread,)).start()


if __name__ == "__main__":
    _, where, spool, safety, title, thread_count, seconds = sys.argv
    main(where, spool, safety, title, int(thread_count), float(seconds))

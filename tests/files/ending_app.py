"""A program that logs into a buffered file and ends in the way that its argument names; run by the tests.

Arguments: the log file, the way to end.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading

from dblog.files.handler import ResilientRotatingFileHandler

RECORDS = 100


def log(name: str) -> None:
    """Log so many records under a name."""
    for number in range(RECORDS):
        logging.getLogger("app").info("%s %d", name, number)


def fork() -> None:
    """Fork while records wait and another thread logs; the child logs, too, and ends as a program does."""
    thread = threading.Thread(target=log, args=("thread",))
    thread.start()
    child = os.fork()
    log("child" if child == 0 else "after")
    if child == 0:
        logging.shutdown()
        os._exit(0)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def spawn_children() -> None:
    """Log in children that `multiprocessing` forks and ends."""
    children = [multiprocessing.get_context("fork").Process(target=log, args=(f"child{each}",)) for each in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def main(path: str, end: str) -> None:
    """Log, and end."""
    handler = ResilientRotatingFileHandler(path, encoding="utf-8", buffer_size=1_000_000, flush_interval=3600)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    log("main")
    if end == "fork":
        fork()
    elif end == "multiprocessing":
        spawn_children()
    elif end == "SIGTERM":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])

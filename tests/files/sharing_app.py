"""One of several programs that log into the same file; run by the tests.

Arguments: the log file, a name, how many records, the bytes of the buffer.
"""

import logging
import sys

from dblog.files.handler import ResilientRotatingFileHandler


def main(path: str, name: str, records: int, buffer_size: int) -> None:
    """Log so many records under the name."""
    handler = ResilientRotatingFileHandler(
        path, maxBytes=2000, backupCount=100_000, encoding="utf-8", multi_process=True, buffer_size=buffer_size
    )
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    for number in range(records):
        logger.info("%s %d", name, number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

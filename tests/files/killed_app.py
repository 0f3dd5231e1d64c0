"""Logs numbered lines for ever, in the name of a process, and tells of each on stdout when its call has returned."""

import json
import logging
import os
import sys
from itertools import count

from dblog import ResilientRotatingFileHandler


def main(live: str, options: str, process: str, first: str) -> None:
    """Log until killed."""
    logger = logging.Logger("killed")
    logger.addHandler(ResilientRotatingFileHandler(live, **json.loads(options)))
    for number in count(int(first)):
        logger.info("%03d %06d xxxxxxxxxx.", int(process), number)
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main(*sys.argv[1:])

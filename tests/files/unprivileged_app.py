"""Logs as a user without rights, in a folder that is named, and prints as JSON what became of it.

With `delay` the first record opens the file; a constructor that raises is reported with its error.
"""

import json
import logging
import os
import sys
from pathlib import Path

from dblog import ResilientRotatingFileHandler


def main(folder: str, options: str, lines: str) -> None:
    """Log that many lines through a handler with these options."""
    root_is_read_only = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
    report: dict[str, object] = {"uid": os.geteuid(), "root_is_read_only": root_is_read_only, "error": ""}
    try:
        handler = ResilientRotatingFileHandler(Path(folder) / "app.log", **json.loads(options))
    except OSError as error:
        report["error"] = str(error)
    else:
        logger = logging.Logger("unprivileged")
        logger.addHandler(handler)
        for number in range(int(lines)):
            logger.info("%03d %06d %s.", 0, number, "x" * 40)
        report["degraded"] = handler.is_degraded
        handler.close()
        report["rotations"] = handler.metrics().rotation_count
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

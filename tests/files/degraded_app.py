"""Logs as user 1000 into a file that it may write, may not write, and may write again; prints what became of it.

Everything is imported while the process may still read whatever it likes.
"""

import json
import logging
import os
import sys
from pathlib import Path

from eventually import eventually

from dblog import ResilientRotatingFileHandler

USER = 1000


def main(folder: Path) -> None:
    """Log a line in each of the three states."""
    live = folder / "app.log"
    handler = ResilientRotatingFileHandler(live, recovery_check_interval_sec=0.05, fallback_stream="stdout")
    os.chown(live, USER, USER)
    os.chown(folder, USER, USER)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    logger = logging.Logger("app")
    logger.addHandler(handler)
    logger.info("while it may be written")
    live.chmod(0o400)
    handler.reopen()
    logger.info("while it may not")
    report: dict[str, object] = {"degraded": handler.is_degraded}
    eventually(lambda: handler.recovery_attempts >= 2, "two tries")
    live.chmod(0o600)
    eventually(lambda: not handler.is_degraded, "the recovery")
    logger.info("again")
    handler.close()
    report["lines"] = live.read_text(encoding="utf-8").splitlines()
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Logs while the process may open no file any more, and again when it may; prints the figures at the end as JSON."""

import json
import resource
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from eventually import eventually
from storms import Storm

from dblog import ResilientRotatingFileHandler


def main(live: str, fallback: str) -> None:
    """Log lines that rotate the file before, while and after the new file cannot be opened, twice."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    degraded = []
    with (
        Path(fallback).open("w", encoding="ascii") as stream,
        closing(
            ResilientRotatingFileHandler(
                live,
                maxBytes=2_000,
                backupCount=1000,
                fallback_stream=stream,
                emergency_cleanup_threshold_mb=0,
                recovery_check_interval_sec=0.05,
            )
        ) as handler,
    ):
        storm = Storm(handler, 5)
        for _ in range(2):
            storm.blow(20)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            storm.blow(50)
            degraded.append(handler.is_degraded)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            eventually(lambda: not handler.is_degraded, "the recovery")
            storm.blow(20)
    print(json.dumps({"emitted": sorted(storm.emitted), "degraded": degraded, **asdict(handler.metrics())}))


if __name__ == "__main__":
    main(*sys.argv[1:])

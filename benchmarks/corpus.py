"""Real log lines, from a folder that the environment names."""

import os
from functools import cache
from pathlib import Path


@cache
def lines() -> list[str]:
    """The lines of the `*.log` files in the folder that `DBLOG_CORPUS` names; none without it."""
    folder = os.environ.get("DBLOG_CORPUS")
    files = sorted(Path(folder).glob("*.log")) if folder else []
    return [line for file in files for line in file.read_bytes().decode("utf-8", "replace").splitlines() if line]

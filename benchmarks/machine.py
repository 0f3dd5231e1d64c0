"""What the figures were measured on."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from dblog.binaries import find_binaries, version_of
from dblog.writing.speedups import load


def machine() -> dict[str, str]:
    """The machine, and the versions of what was measured on it, as they may be printed."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _found(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "PostgreSQL": _postgresql(),
        **{name: version(name) for name in ("dblog", "psycopg", "SQLAlchemy")},
        "dblog-speedups": version("dblog-speedups") if load() else "none",
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
    }


def _postgresql() -> str:
    """The version of the server that a run starts."""
    return ".".join(str(part) for part in version_of(next(iter(find_binaries()))))


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _found(path: Path, name: str) -> str:
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")

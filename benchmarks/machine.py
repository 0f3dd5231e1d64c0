"""What the figures were measured on."""

import os
import platform
import time
from pathlib import Path


def machine() -> dict[str, str]:
    """The machine and the interpreter, as they may be printed."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _found(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
    }


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _found(path: Path, name: str) -> str:
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")

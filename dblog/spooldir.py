"""Where the spool is when nobody says: a folder that outlives the process, and that this user may write to.

In this order, the first that applies:

1. `$STATE_DIRECTORY/dblog`: a systemd service with `StateDirectory=`.
2. `$XDG_STATE_HOME/dblog`, where that is set.
3. `/var/lib/dblog`, where it is there and writable: a volume of a container or a folder made for a service; root
   makes it.
4. `~/.local/state/dblog`, where the user has a home that can be written to.
5. `/var/tmp/dblog-UID`: it outlives a restart of the machine; nobody else may own it.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

AUTO: Final = "auto"
NONE: Final = "none"
SYSTEM: Final = Path("/var/lib/dblog")
SHARED: Final = Path("/var/tmp")  # noqa: S108 - what somebody else owns there is refused
_NAME: Final = "dblog"


def resolve(value: str | Path) -> Path | None:
    """The folder that the setting `spool_dir` means: `auto` finds one, `none` is None, all else is a path.

    Nothing is made on disk. None for `auto`, too, where this user may write to none of the folders above.
    """
    if value == NONE:
        return None
    if value != AUTO:
        return Path(value).expanduser().absolute()
    return next((folder / "spool" for folder in _candidates() if _is_usable(folder)), None)


def _candidates() -> Iterator[Path]:
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        first = os.environ.get(variable, "").split(":")[0]  # systemd lists several with colons
        if Path(first).is_absolute():
            yield Path(first) / _NAME
    if SYSTEM.is_dir() or os.geteuid() == 0:
        yield SYSTEM
    home = Path(os.environ.get("HOME", ""))
    if home.is_absolute() and home.is_dir():
        yield home / ".local" / "state" / _NAME
    yield SHARED / f"{_NAME}-{os.geteuid()}"


def _is_usable(folder: Path) -> bool:
    """True where the folder, or the nearest one above that is there, may be written to; a shared one must be ours."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return folder.parent != folder and _may_make(folder.parent)
    except OSError:
        return False
    if folder.parent == SHARED and (found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode)):
        return False
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _may_make(folder: Path) -> bool:
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)

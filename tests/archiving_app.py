"""Archives a partition, or restores an archive, and dies at the n-th thing that it does; says how it ended.

Usage: archiving_app.py DSN LOCATION FORMAT STEP PARTITION|restore
"""

import os
import sys

import sqlalchemy as sa

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.archive.restoring import restore
from dblog.archive.stores import LocalStore
from dblog.config import load_settings
from dblog.store.engine import keeping

KILLED = 9


class Fuse:
    """Counts down, and ends the process."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def burn(self, *_: object) -> bool:
        """One step nearer; True, unless it was the last."""
        self._left -= 1
        if self._left == 0:
            os._exit(KILLED)
        return True


def main(dsn: str, location: str, form: str, step: str, what: str) -> None:
    """Do it."""
    fuse = Fuse(int(step))
    for name in ("writing", "reading", "delete"):
        plain = getattr(LocalStore, name)
        setattr(LocalStore, name, lambda self, path, plain=plain: fuse.burn() and plain(self, path))
    for name in ("rename", "fsync"):
        plain = getattr(os, name)
        setattr(os, name, lambda *args, plain=plain: fuse.burn() and plain(*args))
    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        sa.event.listen(connection.engine, "before_cursor_execute", fuse.burn)
        sa.event.listen(connection.engine, "commit", fuse.burn)
        if what == "restore":
            archive = Archive.at(location, names.prefix)
            for _ in restore(connection, names, archive, archive.files(), keep_days=7):
                pass
        else:
            archiver(location, names, form)(connection, what)  # type: ignore[arg-type]


main(*sys.argv[1:])

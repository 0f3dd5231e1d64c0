"""Checks of the spool's folder, and of what waits in it, as the user who asks may look."""

import os
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.filesize import decimal

from dblog.checks import Check, State
from dblog.cli.held import look
from dblog.cli.render import several
from dblog.location import target
from dblog.settings import Settings
from dblog.sinks import survey
from dblog.spooldir import NONE, resolve


def check_spool(settings: Settings) -> Iterator[Check]:
    """Check the folder in which records wait while the database is away, and what is held back there."""
    spool_dir, database = settings.logging.database.spool_dir, settings.database
    folder = resolve(spool_dir)
    if folder is None:
        state: State = "ok" if spool_dir == NONE else "warning"
        remedy = None if spool_dir == NONE else "set logging.database.spool_dir to a path"
        yield Check("spool", state, "none: records wait in memory only", remedy)
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check("spool", "error", f"{there} is no folder that this user may write to", "correct spool_dir")
        return
    yield Check("spool", "ok", f"{folder}, {decimal(shutil.disk_usage(there).free)} free")
    if folder.is_dir():
        yield from _backlog(folder, target(database.conninfo(), database.schema_name, database.table_prefix))


def _backlog(folder: Path, ours: str) -> Iterator[Check]:
    """What does not come by itself, or not now."""
    where = f"--spool-dir {shlex.quote(str(folder))}"
    troubled = [each for writer in survey.writers(folder) if (each := look(writer, datetime.now(UTC))).in_trouble]
    left = [each for each in troubled if each.writer.alive is False and each.rows and ours in each.targets]
    others = [each for each in troubled if each not in left]
    if left:
        rows, size = sum(each.rows for each in left), sum(each.bytes for each in left)
        finding = f"{several(len(left), 'ended writer')} left {several(rows, 'row')}, {decimal(size)}"
        yield Check("backlog", "warning", finding, f"dblog replay {where}")
    if others:
        finding = f"{several(len(others), 'writer')} cannot deliver, or cannot be looked into; the command says why"
        yield Check("writers", "warning", finding, f"dblog writers {where}")
    if refused := survey.rejected(folder):
        finding = f"{several(len(refused), 'file')} with rows that were set aside"
        yield Check("rejected", "warning", finding, f"dblog rejected retry --all {where}")

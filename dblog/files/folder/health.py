"""Whether a folder of log files is well: can it be written, has it room, and did anything go wrong in it."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dblog import defaults
from dblog.checks import Check
from dblog.disk import space
from dblog.files.folder.byhand import STALE
from dblog.files.folder.survey import Log, find_logs, why_missing
from dblog.files.rotated import alert

_MEBIBYTE = 1024 * 1024


def examine(
    folder: Path, names: Sequence[str], *, min_free_mb: float | None, max_total: int | None, now: float
) -> tuple[Check, ...]:
    """Check a folder.

    Args:
        folder: The folder.
        names: The names of live files, as for `find_logs`.
        min_free_mb: MiB that have to be free; None for 100, or a twentieth of the file system where that is less.
        max_total: Bytes that the files of one log may take; None for no limit.
        now: Seconds since 1970.
    """
    try:
        logs = find_logs(folder, names)
        return (
            _writable(folder),
            _room(folder, min_free_mb),
            _alert(folder),
            *_missing(folder, names, logs),
            *_live_files(logs),
            *_unfinished(logs, now),
            *(_limits(logs, max_total) if max_total is not None else ()),
        )
    except OSError as error:
        return (Check("folder", "error", f"{error.filename or folder} cannot be examined: {error.strerror}"),)


def within(timeout: float, examination: Callable[[], tuple[Check, ...]]) -> tuple[Check, ...]:
    """Run an examination; where a disk does not answer in time, that is what was found.

    Args:
        timeout: Seconds.
        examination: What to run; its thread is left behind where it does not come back. What it raises is raised.
    """
    answer: Future[tuple[Check, ...]] = Future()

    def run() -> None:
        try:
            answer.set_result(examination())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            answer.set_exception(error)

    threading.Thread(target=run, name="dblog-files-check", daemon=True).start()
    wait([answer], timeout)
    if not answer.done():
        return (Check("answer", "error", f"the file system did not answer within {timeout:g} s"),)
    return answer.result()


def _writable(folder: Path) -> Check:
    """Write a file, as far as the disk: a full disk and one that is read-only say so only then."""
    trial = folder / f".dblog-check.{os.getpid()}.tmp"
    try:
        fd = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            trial.unlink()  # at once: the check may end while the disk hangs
            os.write(fd, b"x" * 4096)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        return Check("writable", "error", f"{folder} cannot be written: {error.strerror}")
    return Check("writable", "ok", f"{folder} can be written")


def _room(folder: Path, min_free_mb: float | None) -> Check:
    found = space(folder)
    default = found.bound(int(defaults.RECOVERY_MIN_FREE_MB * _MEBIBYTE))
    bound = default if min_free_mb is None else int(min_free_mb * _MEBIBYTE)
    free, size, asked = (f"{each / _MEBIBYTE:,.0f}" for each in (found.free, found.size, bound))
    text = f"{free} MiB of {size} MiB are free, {asked} {'is' if asked == '1' else 'are'} asked for"
    if found.free >= bound:
        return Check("free space", "ok", text)
    return Check("free space", "warning", text, f"dblog files clean {folder} --keep N, or make room elsewhere")


def _alert(folder: Path) -> Check:
    path = folder / alert.NAME
    with suppress(FileNotFoundError):
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        text = f"a rotation failed at {when:%Y-%m-%d %H:%M:%S} UTC: {path}"
        return Check("rotation", "error", text, "read the file; delete it once its cause is gone")
    return Check("rotation", "ok", "no alert of a failed rotation")


def _missing(folder: Path, names: Sequence[str], logs: Sequence[Log]) -> Iterator[Check]:
    reason = why_missing(folder, names, logs)
    if reason is not None:
        yield Check("log", "error", reason)


def _live_files(logs: Sequence[Log]) -> Iterator[Check]:
    for log in logs:
        if log.live.exists() and not os.access(log.live, os.W_OK):
            yield Check("live file", "error", f"{log.live} cannot be written by this user", f"chmod u+w {log.live}")


def _unfinished(logs: Sequence[Log], now: float) -> Iterator[Check]:
    for log in logs:
        stale = [file for file in log.of("unfinished") if now - file.modified > STALE]
        if stale:
            what = "file" if len(stale) == 1 else "files"
            text = f"{log.live.name}: {len(stale)} unfinished {what} that nobody writes any more"
            yield Check("unfinished", "warning", text, f"dblog files clean {log.live.parent} --keep N")


def _limits(logs: Sequence[Log], max_total: int) -> Iterator[Check]:
    for log in logs:
        text = f"{log.live.name}: {log.bytes:,} bytes, of {max_total:,} at most"
        if log.bytes > max_total:
            remedy = f"dblog files clean {log.live.parent} {log.live.name} --max-total {max_total}"
            yield Check("limit", "warning", text, remedy)
        else:
            yield Check("limit", "ok", text)

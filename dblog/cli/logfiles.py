"""How logs and their files are shown: as tables, and as JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal

from dblog.cli.render import Style, draw, make_table, several
from dblog.escapes import printable
from dblog.files.folder.survey import KINDS, Log, LogFile, largest

_TABLE: Final = Style("table", zone=None, colour=False)


def report_lines(logs: Sequence[Log]) -> Iterator[str]:
    """A table of logs, one of types, and a line for all."""
    yield from draw(_table_of(logs), _TABLE)
    yield from draw(_table_of_kinds(logs), _TABLE)
    yield from _summary(logs)


def removal_lines(files: Sequence[LogFile], *, dry_run: bool) -> Iterator[str]:
    """A table of files that went or would go, and a line for all."""
    if files:
        rows = ((file.path.name, file.kind, decimal(file.bytes), _time(file.modified)) for file in files)
        yield from draw(make_table("", ("file", "type", "size", "written"), rows), _TABLE)
    outcome = "would delete" if dry_run else "deleted"
    yield f"{outcome} {several(len(files), 'file')}, {decimal(sum(file.bytes for file in files))}"


def _table_of(logs: Sequence[Log]) -> Any:
    heads = ("log", "files", "size", "live", "rotated", "saved", "oldest")
    rows = (
        (
            log.live.name,
            len(log.files),
            decimal(log.bytes),
            decimal(sum(file.bytes for file in log.of("live"))),
            len(log.of("rotated", "gzip", "zstd")),
            decimal(log.saved),
            _time(min(file.modified for file in log.files)),
        )
        for log in logs
    )
    return make_table("", heads, rows)


def _by_kind(logs: Sequence[Log]) -> dict[str, tuple[int, int]]:
    """The number and the bytes of the files of each kind that there is."""
    found = {kind: [file.bytes for log in logs for file in log.of(kind)] for kind in KINDS}
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items() if sizes}


def _table_of_kinds(logs: Sequence[Log]) -> Any:
    rows = ((kind, count, decimal(size)) for kind, (count, size) in _by_kind(logs).items())
    return make_table("", ("type", "files", "size"), rows)


def _summary(logs: Sequence[Log]) -> Iterator[str]:
    count, size = sum(len(log.files) for log in logs), sum(log.bytes for log in logs)
    yield f"{several(count, 'file')}, {decimal(size)}; compression saved {decimal(sum(log.saved for log in logs))}"
    biggest = largest(logs)
    if biggest is not None:
        yield f"the largest: {printable(biggest.path.name)}, {decimal(biggest.bytes)}"


def report_as_json(folder: Path, logs: Sequence[Log]) -> dict[str, Any]:
    """The report for programs."""
    biggest = largest(logs)
    return {
        "directory": str(folder),
        "files": sum(len(log.files) for log in logs),
        "bytes": sum(log.bytes for log in logs),
        "saved_bytes": sum(log.saved for log in logs),
        "by_type": {kind: {"files": count, "bytes": size} for kind, (count, size) in _by_kind(logs).items()},
        "largest": None if biggest is None else file_as_json(biggest),
        "logs": [
            {
                "name": log.live.name,
                "bytes": log.bytes,
                "saved_bytes": log.saved,
                "files": list(map(file_as_json, log.files)),
            }
            for log in logs
        ],
    }


def file_as_json(file: LogFile) -> dict[str, Any]:
    """A file for programs."""
    return {
        "path": str(file.path),
        "type": file.kind,
        "bytes": file.bytes,
        "saved_bytes": file.saved,
        "modified": datetime.fromtimestamp(file.modified, UTC).isoformat(),
    }


def _time(modified: float) -> str:
    return f"{datetime.fromtimestamp(modified, UTC).astimezone():%Y-%m-%d %H:%M:%S}"

"""`dblog spool`: list, print and check what waits on the disk."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

import click
from rich.filesize import decimal

from dblog.cli.options import form_option, with_spool_dir
from dblog.cli.render import Style, counted, draw, make_table, several, to_json, write
from dblog.cli.rows import print_rows, row_options
from dblog.cli.targets import shown
from dblog.columns import COLUMN_NAMES
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.sinks import inspection, survey
from dblog.sinks.inspection import BatchName, Contents, SpoolFile
from dblog.sinks.survey import Writer

HEADS: Final = ("file", "rows", "levels", "size", "oldest", "remarks")
_WHOLE: Final = ("file", "rows", "size", "oldest")
Examined = tuple[SpoolFile, Contents]


@click.group("spool")
def command() -> None:
    """List, print and check what waits in the spool.

    Its writers may be alive and writing.
    """


@command.command("ls")
@with_spool_dir
@form_option
@click.option("--utc", is_flag=True, help="Show times in UTC instead of the local time zone.")
@click.pass_context
def ls(ctx: click.Context, directory: Path, output: str, utc: bool) -> None:
    """List the files of each writer, with the rows in them.

    Rows that were delivered already count until their file is deleted as a whole. A batch that is in two files of a
    writer counts in the first.

    Exit code 1: something could not be read.
    """
    found = [(writer, list(_examined(writer.files, set()))) for writer in survey.writers(directory)]
    problems = [each for each, _ in found if each.problem is not None]
    unread = any(contents.problem is not None for _, files in found for _, contents in files)
    if output == "json":
        write([to_json([_as_json(writer, *each) for writer, files in found for each in files])])
        _tell_of_unseen(problems)
    elif any(files for _, files in found) or problems:
        for writer, files in found:
            if files or writer.problem is not None:
                write(_listing(writer, files, UTC if utc else None))
        if problems:
            click.echo(_unseen(problems))
    else:
        click.echo(f"nothing waits in {printable(str(directory))}")
    ctx.exit(1 if problems or unread else 0)


@command.command("cat")
@with_spool_dir
@click.argument("names", nargs=-1, metavar="[PATH|WRITER]...")
@row_options
@click.pass_context
def cat(ctx: click.Context, directory: Path, names: Sequence[str], as_jsonl: bool, as_copy: bool, utc: bool) -> None:
    r"""Print the rows of files or writers, by default all.

    They are printed as `dblog query` prints records. A PATH is a file or the directory of a writer, a WRITER the
    beginning of its UUID. What --copy prints is for `\copy`: rows that are inserted like that are delivered once more
    when their spool is.

    Exit code 1: something could not be read.
    """
    files = [file for name in names for file in _chosen(directory, name)]
    problems: list[Writer] = []
    if not names:
        found = survey.writers(directory)
        problems = [writer for writer in found if writer.problem is not None]
        files = [file for writer in found for file in writer.files if file.kind != "refused"]
    whole = print_rows(files, as_jsonl=as_jsonl, as_copy=as_copy, zone=UTC if utc else None)
    _tell_of_unseen(problems)
    ctx.exit(0 if whole and not problems else 1)


@command.command("verify")
@with_spool_dir
@form_option
@click.pass_context
def verify(ctx: click.Context, directory: Path, output: str) -> None:
    """Read every file and compare every frame with its checksum.

    What a living writer is writing at this moment is not damage; rows of its journal have no checksum before their
    batch is formed.

    Exit code 1: there is damage, or a file could not be read.
    """
    found = survey.writers(directory)
    files = [*(file for writer in found for file in writer.files), *survey.rejected(directory)]
    examined = list(_examined(files))
    problems = [f"{writer.home}: {writer.problem}" for writer in found if writer.problem is not None]
    problems += [f"{file.path}: {contents.problem}" for file, contents in examined if contents.problem is not None]
    damages = [(file.path, damage) for file, contents in examined for damage in contents.damages]
    frames, size = (sum(getattr(each, name) for _, each in examined) for name in ("frames", "bytes"))
    if output == "json":
        shown = [{"path": str(path), "offset": each.offset, "length": each.length, "reason": each.reason}
                 for path, each in damages]  # fmt: skip
        write(
            [to_json({"files": len(examined), "frames": frames, "bytes": size, "damages": shown, "problems": problems})]
        )
    else:
        write(f"{printable(str(path))}: {each.length} bytes at {each.offset}: {each.reason}" for path, each in damages)
        write(map(printable, problems))
        verdict = f"{several(len(damages), 'damaged place')}, {several(len(problems), 'problem')}"
        verdict = verdict if damages or problems else "whole"
        if any(writer.problem is not None for writer in found):
            click.echo(_unseen([writer for writer in found if writer.problem is not None]))
        click.echo(f"{verdict}: {several(len(examined), 'file')}, {several(frames, 'frame')}, {decimal(size)}")
    ctx.exit(1 if damages or problems else 0)


def _unseen(writers: Sequence[Writer]) -> str:
    return f"{several(len(writers), 'writer')} could not be looked into: run as its user"


def _tell_of_unseen(writers: Sequence[Writer]) -> None:
    if writers:
        click.echo(f"dblog: note: {_unseen(writers)}", err=True)


def _examined(files: Iterable[SpoolFile], seen: set[BatchName] | None = None) -> Iterator[Examined]:
    for file in files:
        try:
            yield file, inspection.examine(file, seen)
        except FileNotFoundError:  # delivered in the meantime
            continue
        except OSError as error:
            yield file, Contents(problem=f"cannot be read: {error.strerror}")


def _chosen(directory: Path, name: str) -> Sequence[SpoolFile]:
    path = Path(name)
    if path.is_file():
        return [survey.file_at(path)]
    known = [each for each in survey.writers(directory) if each.writer_id.startswith(name)]
    found = [survey.writer(path)] if not known and path.is_dir() else known
    if len(found) != 1 or found[0] is None:
        what = "stands for several writers" if found[1:] else "is no file, nor the directory or the UUID of a writer"
        raise UsageError(f"{name!r} {what} (looked in {directory})")
    return found[0].files


def _listing(writer: Writer, files: Sequence[Examined], zone: tzinfo | None) -> Iterator[str]:
    life = {True: "alive", False: "ended", None: writer.problem}[writer.alive]
    yield f"writer {writer.writer_id}: {life}"
    for target in sorted({_target(contents) for _, contents in files}):
        yield f"for {printable(shown(target))}"
        rows = (_cells(file, contents, zone) for file, contents in files if _target(contents) == target)
        yield from draw(make_table("", HEADS, rows, whole=_WHOLE), Style("table", zone, colour=False))
    yield ""


def _cells(file: SpoolFile, contents: Contents, zone: tzinfo | None) -> tuple[object, ...]:
    return (
        file.path.name,
        contents.rows,
        counted(contents.levels),
        decimal(contents.bytes),
        _time(contents.oldest, zone),
        ", ".join(_remarks(contents)),
    )


def _remarks(contents: Contents) -> Iterator[str]:
    if contents.problem is not None:
        yield contents.problem
    if contents.damages:
        yield several(len(contents.damages), "damaged place")
    if contents.header is not None and contents.header.columns != COLUMN_NAMES:
        yield "columns of another release"


def _target(contents: Contents) -> str:
    return contents.header.target if contents.header is not None else "an unknown target"


def _time(text: str | None, zone: tzinfo | None) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S}" if text is not None else ""
    except (ValueError, OverflowError):  # a time that only PostgreSQL could have understood
        return str(text)


def _as_json(writer: Writer, file: SpoolFile, contents: Contents) -> dict[str, Any]:
    header = contents.header
    return {
        "writer_id": writer.writer_id,
        "alive": writer.alive,
        "path": str(file.path),
        "kind": file.kind,
        "format": header.format if header is not None else None,
        "target": header.target if header is not None else None,
        "columns": list(header.columns) if header is not None and header.columns != COLUMN_NAMES else None,
        "frames": contents.frames,
        "rows": contents.rows,
        "levels": {str(level): count for level, count in sorted(contents.levels.items())},
        "bytes": contents.bytes,
        "oldest": contents.oldest,
        "newest": contents.newest,
        "damages": len(contents.damages),
        "problem": contents.problem,
    }

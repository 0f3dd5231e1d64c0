"""`dblog rejected`: the rows that PostgreSQL refused, or that waited too long, and another try for them."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

import click

from dblog.batch import Batch
from dblog.cli.options import (
    form_option,
    source_option,
    spool_dir_option,
    spool_directory,
    with_settings,
    with_spool_dir,
)
from dblog.cli.render import counted, several, to_json, wrapped, write
from dblog.cli.replay import Notes, deadline, interruptible, progress, require_all
from dblog.cli.rows import print_rows, row_options
from dblog.cli.targets import choose, shown, targets_in
from dblog.errors import DblogError, UsageError
from dblog.escapes import printable
from dblog.reading.copied import decode
from dblog.reading.window import show
from dblog.settings import Settings
from dblog.sinks import inspection, survey
from dblog.sinks.frames import Damage
from dblog.sinks.inspection import SpoolFile
from dblog.sinks.layout import UnknownLayout
from dblog.sinks.segments import Figures
from dblog.writing.replayer import Replayer

_WIDTH: Final = 80
_MESSAGE_WIDTH: Final = 60


@click.group("rejected")
def command() -> None:
    """List the rows that PostgreSQL refused or that waited too long, and try them again."""


@command.command("ls")
@with_spool_dir
@form_option
@click.option("--utc", is_flag=True, help="Show times in UTC instead of the local time zone.")
def ls(directory: Path, output: str, utc: bool) -> None:
    """List what was set aside, by batch and reason."""
    zone = UTC if utc else None
    found = [each for file in survey.rejected(directory) for each in _listed(file, zone)]
    if output == "json":
        write([to_json(found)])
    elif found:
        write(line for each in found for line in _entry_lines(each))
    else:
        click.echo(f"nothing was set aside in {printable(str(directory))}")


@command.command("cat")
@with_spool_dir
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@row_options
@click.pass_context
def cat(ctx: click.Context, directory: Path, keys: Sequence[str], as_jsonl: bool, as_copy: bool, utc: bool) -> None:
    """Print the rows of each KEY, as `dblog spool cat` does.

    With --jsonl each has its reason.

    Exit code 1: something could not be read.
    """
    files = [_found(directory, key) for key in keys]
    ctx.exit(0 if print_rows(files, as_jsonl=as_jsonl, as_copy=as_copy, zone=UTC if utc else None) else 1)


@command.command("retry")
@with_settings
@spool_dir_option
@source_option
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "take_all", is_flag=True, help="All that was set aside for the configured database.")
@click.pass_context
def retry(
    ctx: click.Context,
    settings: Settings,
    spool_dir: str | None,
    source: str | None,
    keys: Sequence[str],
    take_all: bool,
) -> None:
    """Try the rows of each KEY again, and say what became of it.

    Do so after what was wrong with them or with the table was put right. What PostgreSQL refuses once more is set aside
    again, under a new key with its new reason. Where the database does not answer, the rows stay in the spool: the next
    writer or `dblog replay` delivers them.

    Exit code 1: something was refused once more, or is left.
    """
    if bool(keys) == take_all:
        raise UsageError("rejected retry: give either KEYs, which `dblog rejected ls` lists, or --all")
    directory = spool_directory(spool_dir, settings.logging.database.spool_dir)
    handler, notes = settings.handler_settings(), Notes()
    files = survey.rejected(directory) if take_all else [_found(directory, key) for key in keys]
    if not files:
        click.echo(f"nothing was set aside in {printable(str(directory))}")
        return
    source = choose(source, targets_in(directory)) if source is not None else None
    with Replayer(handler, directory, notes, source=source) as replayer:
        wanted = [file for file in files if _is_wanted(replayer, file, skip_foreign=take_all)]
        writers = {file.path.stem: _take_back(replayer, file) for file in wanted}
        with interruptible(replayer), progress(replayer.waiting.rows) as advance:
            replayer.deliver(deadline(None), advance)
        waiting = _waiting(directory)
        again = survey.rejected(directory)
        for key, writer_id in writers.items():
            write([f"{key}: {'; '.join(_outcome(writer_id, again, waiting))}"])
        refused = sum(inspection.examine(file).rows for file in again if _bears(file, writers.values()))
        there = f", {replayer.known:,} there already" if replayer.known else ""
        click.echo(f"{several(replayer.delivered, 'row')} delivered{there}, {refused:,} refused once more")
        require_all(replayer, Figures())
    ctx.exit(1 if refused or notes.set_aside else 0)


def _is_wanted(replayer: Replayer, file: SpoolFile, *, skip_foreign: bool) -> bool:
    """Whether a file is for the database; nothing was taken so far, so that a mistake leaves all as it was."""
    key = file.path.stem
    contents = inspection.examine(file)
    if contents.header is None or not contents.frames:
        raise DblogError(f"{key}: {contents.problem or 'nothing in it can be read'}; see `dblog spool verify`")
    if contents.header.target == replayer.target:
        return True
    other = f"for another database, {shown(contents.header.target)}; `--from` delivers it to this one"
    if not skip_foreign:
        raise UsageError(f"{key}: is {other}")
    click.echo(f"dblog: note: {key} is left: it is {other}", err=True)
    return False


def _take_back(replayer: Replayer, file: SpoolFile) -> str:
    """Have a file delivered; returns the writer of its rows, whose name what is refused again will bear."""
    writer_id = next(found.key.writer_id for found in inspection.read(file) if isinstance(found, Batch))
    try:
        replayer.take_back(file.path)
    except UnknownLayout as error:
        raise DblogError(f"{file.path.stem}: {error}") from None
    return writer_id


def _waiting(directory: Path) -> set[str]:
    """The writers of all batches that are in the spool."""
    files = (file for writer in survey.writers(directory) for file in writer.files if file.kind == "segment")
    found: set[str] = set()
    for file in files:
        with suppress(OSError, UnknownLayout):  # delivered meanwhile, or not to be understood: none that was taken back
            found.update(each.key.writer_id for each in inspection.read(file) if isinstance(each, Batch))
    return found


def _bears(file: SpoolFile, writers: Iterable[str]) -> bool:
    return any(writer_id in file.path.stem for writer_id in writers)


def _outcome(writer_id: str, rejected: Sequence[SpoolFile], waiting: Container[str]) -> Iterator[str]:
    """What became of the rows of one file, which all have the same writer."""
    again = [file.path.stem for file in rejected if _bears(file, [writer_id])]
    if again:
        yield f"refused again under {' and '.join(again)}"
    if writer_id in waiting:
        yield "now in the spool"
    if not again and writer_id not in waiting:
        yield "stored"


def _found(directory: Path, key: str) -> SpoolFile:
    files = [file for file in survey.rejected(directory) if file.path.stem.startswith(key)]
    exact = [file for file in files if file.path.stem == key] or files
    if len(exact) != 1:
        what = f"stands for {len(files)} of them" if files else "is none of them"
        raise UsageError(f"KEY {key!r}: {what}; `dblog rejected ls` lists them ({directory})")
    return exact[0]


def _listed(file: SpoolFile, zone: tzinfo | None) -> Iterator[dict[str, Any]]:
    """What is to be said of each frame, which has a reason of its own, in the order of the heads."""
    try:
        set_aside = show(datetime.fromtimestamp(file.path.stat().st_mtime, UTC), zone)
        for found in inspection.read(file):
            if isinstance(found, Batch):
                yield _entry(file, set_aside, found.rows, found.levels, found.reason or "", _first_message(found))
            elif isinstance(found, Damage):
                yield _entry(file, set_aside, 0, {}, f"{found.length} bytes at {found.offset}: {found.reason}", "")
    except FileNotFoundError:  # taken back in the meantime
        return
    except UnknownLayout as error:
        yield _entry(file, "", 0, {}, str(error), "")
    except OSError as error:
        yield _entry(file, "", 0, {}, f"cannot be read: {error.strerror}", "")


def _entry(
    file: SpoolFile, set_aside: str, rows: int, levels: Mapping[int, int], reason: str, first_message: str
) -> dict[str, Any]:
    return {
        "key": file.path.stem,
        "set_aside": set_aside,
        "rows": rows,
        "levels": dict(levels),
        "reason": reason,
        "first_message": first_message,
    }


def _first_message(batch: Batch) -> str:
    """The first line of the first row's message; empty where it cannot be understood."""
    with suppress(ValueError):
        message = decode(batch.payload[: batch.payload.find(b"\n")], batch.columns).get("message")
        return str(message or "").partition("\n")[0]
    return ""


def _entry_lines(entry: dict[str, Any]) -> Iterator[str]:
    """A key, which has to stay in one piece, and below it what is to be said of it."""
    yield printable(entry["key"])
    rows = f"{several(entry['rows'], 'row')} ({counted(entry['levels'])})" if entry["rows"] else "no rows"
    when = f"set aside {entry['set_aside']}, " if entry["set_aside"] else ""
    told = [f"{when}{rows}: {entry['reason']}"]
    if entry["first_message"]:
        told.append(f"first message: {_short(entry)}")
    for text in told:
        yield from wrapped(text, _WIDTH, indent="  ")


def _short(listed: dict[str, Any]) -> str:
    message = str(listed["first_message"])
    return message if len(message) <= _MESSAGE_WIDTH else f"{message[: _MESSAGE_WIDTH - 1]}…"

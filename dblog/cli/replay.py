"""`dblog replay`: deliver what writers that ended have left."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dblog.cli.options import Seconds, source_option, spool_dir_option, spool_directory, with_settings
from dblog.cli.render import several
from dblog.cli.targets import choose, left_by, shown, targets_in
from dblog.errors import DblogError
from dblog.escapes import printable
from dblog.location import place, place_of, target
from dblog.selflog import Announcer
from dblog.settings import Settings
from dblog.sinks import survey
from dblog.sinks.segments import Figures
from dblog.sinks.survey import Writer
from dblog.writing.replayer import Advance, Replayer

_UNSAID: Final = ("database", "database back")
_SET_ASIDE: Final = ("rejected", "expired")


@click.command("replay")
@with_settings
@spool_dir_option
@source_option
@click.option(
    "--timeout",
    type=Seconds(0.001, 86_400),
    metavar="SECONDS",
    help="Stop after so long; a batch that is being delivered is finished.  [default: no limit]",
)
@click.pass_context
def command(
    ctx: click.Context, settings: Settings, spool_dir: str | None, source: str | None, timeout: float | None
) -> None:
    """Deliver what writers that ended have left for the configured database.

    Living writers are left alone: they deliver by themselves. After five tries in a row that fail, the rest stays for
    the next writer or the next replay, and so it does after Ctrl-C. Rows for a database whose address has changed stay,
    too, with a note; --from delivers them to the configured one.

    Exit code 1: something is left, was set aside because PostgreSQL refused it, or could not be looked into.
    """
    directory = spool_directory(spool_dir, settings.logging.database.spool_dir)
    handler = settings.handler_settings()
    conninfo = handler.dsn.get_secret_value()
    wanted = target(conninfo, handler.schema_name, handler.table_prefix)
    if source is not None:
        wanted = choose(source, targets_in(directory))
    found = survey.writers(directory)
    expected = left_by(_ended(found)).of(wanted)
    from_where = f" from {place_of(wanted)}" if source is not None else ""
    said = f"nothing is left{from_where} for {place(conninfo)} in {printable(str(directory))}"
    notes = Notes()
    if _ended(found):
        with Replayer(handler, directory, notes, source=wanted if source is not None else None) as replayer:
            with interruptible(replayer), progress(expected.rows) as advance:
                replayer.take_over(deadline(timeout), advance)
            if expected.bytes:  # else there are empty folders, which may still tell of a death
                said = f"{_delivered(replayer)} to {place(conninfo)}"
            click.echo(said)
            others = [writer for writer in survey.writers(directory) if writer.writer_id != replayer.writer_id]
            unseen = _tell_of_others(others, wanted)
            require_all(replayer, left_by(_ended(others)).of(wanted))
    else:
        click.echo(said)
        unseen = _tell_of_others(found, wanted)
    ctx.exit(1 if notes.set_aside or unseen else 0)


def _ended(writers: Sequence[Writer]) -> list[Writer]:
    return [writer for writer in writers if writer.alive is False]


def _delivered(replayer: Replayer) -> str:
    there = f", {several(replayer.known, 'row')} {'was' if replayer.known == 1 else 'were'} there already"
    return f"{several(replayer.delivered, 'row')} delivered{there if replayer.known else ''}"


def _tell_of_others(writers: Sequence[Writer], wanted: str) -> bool:
    """Say what is left to others: to living writers, to `--from`, to other users; True where some could not be seen."""
    for writer in writers:
        rows = left_by([writer]).of(wanted).rows if writer.alive else 0
        if rows:
            who = f"pid {writer.status.process_id}" if writer.status is not None else f"writer {writer.writer_id}"
            _note(f"{several(rows, 'row')} in the hands of {who}, which is alive and delivers them")
    for other, figures in left_by(_ended(writers)).by_target.items():
        if other != wanted and figures.rows:
            _note(
                f"{several(figures.rows, 'row')} for {shown(other)} stay here; `--from` delivers them to this database"
            )
    unseen = left_by(writers).closed_to_us
    for problem in unseen:
        _note(f"{problem}: run as its user")
    return bool(unseen)


def _note(text: str) -> None:
    click.echo(f"dblog: note: {printable(text)}", err=True)


def deadline(timeout: float | None) -> float:
    """The moment of `time.monotonic()` after which nothing more is begun."""
    return float("inf") if timeout is None else time.monotonic() + timeout


def require_all(replayer: Replayer, others: Figures) -> None:
    """Make sure that nothing is left, neither in the hands of the replayer nor of others.

    Raises:
        DblogError: Something is; says how much and why.
    """
    left = replayer.waiting + others
    if left.rows or left.frames:  # a frame without rows tells that a writer closed
        how_much = several(left.rows, "row") if left.rows else several(left.frames, "closing frame")
        why = replayer.last_error or "see the notes above, or give it more time"
        raise DblogError(f"{how_much} left for {replayer.place}: {why}")


class Notes(Announcer):
    """Prints what a delivery has to say, each thing once; what the command itself says at its end is left out.

    Attributes:
        set_aside: True once rows were set aside in `rejected/`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_aside = False
        self._told: set[str] = set()

    def announce(self, topic: str, text: str) -> bool:
        """Print `text` and return True, unless the same was said before, or `topic` is what the command is about."""
        self.set_aside = self.set_aside or topic in _SET_ASIDE
        once = topic if topic in _SET_ASIDE else text
        if topic in _UNSAID or once in self._told:
            return False
        self._told.add(once)
        sys.stderr.write(f"dblog: note: {printable(text)}\n")  # above the progress bar, which stands in for it
        return True


@contextmanager
def interruptible(replayer: Replayer) -> Iterator[None]:
    """Say at Ctrl-C what becomes of the rest."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"dblog: note: interrupted; in the spool stay {several(replayer.waiting.rows, 'row')}", err=True)
        raise


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """Show on a terminal how many of the rows are delivered; gives the function that is told so."""
    console = Console(stderr=True)
    columns = (TextColumn("delivering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.advance(task, rows)

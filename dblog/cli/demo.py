"""`dblog demo`: an application logs into a PostgreSQL, and what came in is read back and counted."""

import logging
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import dblog
from dblog.cli.options import Seconds, location_options
from dblog.cli.render import Style, draw, make_table, text_lines, write
from dblog.config import LIBPQ_VARIABLES, load_settings
from dblog.demo import Shop
from dblog.embedded import EmbeddedServer
from dblog.errors import DblogError, UsageError
from dblog.location import place
from dblog.reading.filters import parse
from dblog.reading.query import Query, records
from dblog.reading.window import Window
from dblog.settings import DatabaseSettings, Settings
from dblog.store.engine import connected, reading
from dblog.store.layout import Layout
from dblog.store.migrate import upgrade
from dblog.store.partitions import make_ahead
from dblog.store.schema import logs_table

SHUTDOWN_TIMEOUT: Final = 60.0

Counts = Counter[tuple[str, int]]
"""Records by logger and level number."""


@dataclass(frozen=True)
class Run:
    """What the application did, as it saw it itself."""

    emitted: Counts
    writer_id: str
    begun: datetime
    seconds: float
    """From the first record to the last commit."""

    def query(self, term: str = "", limit: int = 0) -> Query:
        """What matches the term among the records of this run."""
        margin = timedelta(minutes=1)
        window = Window(self.begun - margin, self.begun + timedelta(seconds=self.seconds) + margin)
        return Query(parse(f"writer:{self.writer_id} {term}"), window, limit)


@click.command("demo")
@click.option("--seconds", type=Seconds(0.1, 86_400), default=5, show_default=True, help="How long to log.")
@click.option(
    "--rate",
    type=Seconds(min=0, max=1_000_000),
    default=2000,
    show_default=True,
    metavar="R",
    help="Records a second, of all threads together; 0 for as many as possible.",
)
@click.option("--keep", is_flag=True, help="Leave the PostgreSQL that the demo started running.")
@location_options
def command(seconds: float, rate: float, keep: bool, config_path: Path | None, dsn: str | None) -> None:
    """Log into a PostgreSQL from several components and threads, and look at what came in.

    Without --dsn, --config, DBLOG_DSN, DBLOG_CONFIG or PG* variables it starts a throw-away PostgreSQL of its own; the
    ./config.yml of an application is left alone. Ctrl-C ends the logging early.

    The exit code is 0 only if every record that was logged is a row.
    """
    with ExitStack() as stack:
        settings, server = _find_server(config_path, dsn), None
        if settings is not None and keep:
            raise UsageError("--keep: only a PostgreSQL that the demo starts can be kept; leave out --keep")
        if settings is None:
            click.echo("starting a throw-away PostgreSQL ...")
            server = stack.enter_context(EmbeddedServer())
            settings = load_settings({}, dsn=server.dsn())
        _migrate(settings.database)
        run = _log(_for_the_demo(settings), seconds, rate)
        stored = _show(settings.database, run)
        write(_what_next(run, server.dsn() if server and keep else None, there_before=server is None))
        if server and keep:
            write(["The PostgreSQL of the demo runs on until:", f"  {server.detach()}"])
    if stored != run.emitted:
        missing, extra = (run.emitted - stored).total(), (stored - run.emitted).total()
        raise DblogError(f"of {run.emitted.total():,} records {missing:,} are not in the table, {extra:,} are too many")


def _find_server(config_path: Path | None, dsn: str | None) -> Settings | None:
    """The settings that somebody gave on purpose; None where nobody said which PostgreSQL to use."""
    config = config_path or os.environ.get("DBLOG_CONFIG")
    if config or dsn or os.environ.get("DBLOG_DSN") or any(map(os.environ.get, LIBPQ_VARIABLES)):
        return load_settings(config or {}, dsn=dsn)
    return None


def _for_the_demo(settings: Settings) -> Settings:
    """All levels to the database and nothing to the console; callers wait where PostgreSQL cannot keep up."""
    chosen = settings.logging
    database = chosen.database.model_copy(
        update={"enabled": True, "level": logging.NOTSET, "overflow": "block", "block_timeout": SHUTDOWN_TIMEOUT}
    )
    console = chosen.console.model_copy(update={"enabled": False})
    changes = {"level": logging.DEBUG, "service": "dblog-demo", "components": {}}
    chosen = chosen.model_copy(update={**changes, "console": console, "database": database})
    return settings.model_copy(update={"logging": chosen})


def _migrate(database: DatabaseSettings) -> None:
    click.echo(f"making the tables in {place(database.conninfo())} ...")
    with connected(database) as (connection, names):
        upgrade(connection, Layout(names, database.partition_by, database.indexes))
        make_ahead(connection, names, database.partitions_ahead)


def _log(settings: Settings, seconds: float, rate: float) -> Run:
    """Let the shop log, and wait until all of it has left."""
    if not dblog.initialize_logger(settings):
        raise DblogError("logging could not be set up")
    try:
        handler = next(each for each in logging.getLogger().handlers if isinstance(each, dblog.DatabaseLogHandler))
        begun, start = datetime.now(UTC), time.monotonic()
        shop = Shop(seconds=seconds, rate=rate)
        try:
            shop.open()
            _watch(shop, handler, seconds)
        except KeyboardInterrupt:
            click.echo("interrupted: the shop closes early")
        finally:
            shop.close()
        dblog.shutdown_logging(SHUTDOWN_TIMEOUT)
        return Run(shop.emitted, handler.stats().writer_id, begun, time.monotonic() - start)
    finally:
        dblog.shutdown_logging()


def _watch(shop: Shop, handler: dblog.DatabaseLogHandler, seconds: float) -> None:
    """Show how far it is, where somebody looks on."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[emitted]:,} emitted, {task.fields[stored]:,} stored"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    start = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("the shop is open", total=seconds, emitted=0, stored=0)
        while shop.is_open:
            time.sleep(0.1)
            stored = sum(handler.stats().stored.values())
            progress.update(task, completed=time.monotonic() - start, emitted=shop.emitted.total(), stored=stored)


def _show(database: DatabaseSettings, run: Run) -> Counts:
    """Print what the table has of the run; return it, counted."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    style = Style("table", None, colour)
    with reading(database) as (connection, names):
        logs = logs_table(names)
        key = logs.c.logger_name, logs.c.level_no
        counted = sa.select(*key, sa.func.count()).where(run.query().where(logs)).group_by(*key)
        found = {(logger, level): count for logger, level, count in connection.execute(counted)}
        stored = Counter({key: count for key, count in found.items() if key[0].partition(".")[0] == "shop"})
        write(draw(make_table("", ("level", "emitted", "rows"), _by_level(run.emitted, stored)), style))
        for title, term, limit in (("The newest records", "", 5), ("The newest errors", "level>=error", 2)):
            if lines := list(text_lines(records(connection, logs, run.query(term, limit)), style)):
                write([f"{title}:", *lines, ""])
    rate = stored.total() / run.seconds
    click.echo(
        f"{run.emitted.total():,} records emitted, {stored.total():,} stored, {rate:,.0f} records/s "
        f"over {run.seconds:.1f} s"
    )
    return stored


def _by_level(emitted: Counts, stored: Counts) -> Iterator[tuple[object, ...]]:
    for level in sorted({level for _, level in emitted | stored}, reverse=True):
        both = (sum(n for (_, each), n in counts.items() if each == level) for counts in (emitted, stored))
        yield logging.getLevelName(level), *both


def _what_next(run: Run, kept: str | None, *, there_before: bool) -> Iterator[str]:
    """How to look further: in the server that is kept, or in the one that was there before."""
    if not kept and not there_before:
        yield "The PostgreSQL of the demo ends now. `dblog demo --keep` leaves it running, to look around in it."
        return
    yield "Look further:" if kept else "Look further, with the same --dsn, --config or variables:"
    dsn = f" --dsn {shlex.quote(kept)}" if kept else ""
    for words in ("query 'level>=error'", f"query -n 5 writer:{run.writer_id} extra.status:404", "stats", "tail -f"):
        yield f"  dblog {words}{dsn}"

"""`dblog stats`: records by level, logger and hour, and the sizes of the partitions."""

from collections.abc import Iterator

import click

from dblog.cli.options import with_output, with_selection, with_settings
from dblog.cli.render import Style, draw, estimated, make_table, to_json, write
from dblog.reading.query import Query
from dblog.reading.summary import Summary, sizes, summarize
from dblog.reading.terms import Filter
from dblog.reading.window import Window, in_zone, show
from dblog.settings import Settings
from dblog.store.engine import reading
from dblog.store.partitions import Partition


@click.command("stats")
@with_settings
@with_selection
@with_output(["table", "json"])
@click.option(
    "--top",
    type=click.IntRange(0, 1_000_000),
    default=10,
    show_default=True,
    help="The busiest N loggers; 0: do not count them.",
)
def command(settings: Settings, term: Filter, window: Window, timeout: float, style: Style, top: int) -> None:
    """Count the records that match FILTER (see `dblog query --help`) by level, logger and hour.

    The sizes of the partitions are of the whole table, whatever the filter and the window.
    """
    with reading(settings.database, statement_timeout=timeout) as (connection, names):
        summary = summarize(connection, names, Query(term, window, limit=0), top=top)
        partitions = sizes(connection, names)
    if style.form == "json":
        write([to_json(_as_json(summary, partitions, window, style))])
    else:
        write(_tables(summary, partitions, window, style))


def _tables(summary: Summary, partitions: tuple[Partition, ...], window: Window, style: Style) -> Iterator[str]:
    yield f"{summary.records:,} records since {show(window.since, style.zone)}"
    hours = [(show(hour, style.zone), count) for hour, count in summary.hours]
    kept = [(part.name, estimated(part.rows), part.size, _readable(part.size)) for part in partitions]
    for title, names, rows in (
        ("Levels", ("level", "records"), summary.levels),
        ("Busiest loggers", ("logger", "records"), summary.loggers),
        ("Hours", ("hour", "records"), hours),
        ("Partitions", ("partition", "rows, estimated", "bytes", "size"), kept),
    ):
        if rows:
            yield ""
            yield from draw(make_table(title, names, rows), style)


def _as_json(summary: Summary, partitions: tuple[Partition, ...], window: Window, style: Style) -> dict[str, object]:
    return {
        "since": in_zone(window.since, style.zone).isoformat(),
        "until": in_zone(window.until, style.zone).isoformat(),
        "records": summary.records,
        "levels": [{"level": name, "records": count} for name, count in summary.levels],
        "loggers": [{"logger": name, "records": count} for name, count in summary.loggers],
        "hours": [{"hour": in_zone(hour, style.zone).isoformat(), "records": count} for hour, count in summary.hours],
        "partitions": [{"name": part.name, "rows_estimated": part.rows, "bytes": part.size} for part in partitions],
    }


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"

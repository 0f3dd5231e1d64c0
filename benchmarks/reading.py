"""The questions that people ask, by dblog's own queries, over tables that have grown: time, and buffers touched."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import scalar_row

from benchmarks.loading import DAYS, RARE_TEXT, loaded
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog.config import load_settings
from dblog.reading.filters import parse
from dblog.reading.query import Query, records
from dblog.reading.summary import summarize
from dblog.reading.window import Window
from dblog.store.engine import reading
from dblog.store.names import Names
from dblog.store.schema import logs_table

LIMIT: Final = 100
QUICK: Final = 0.1
"""Seconds below which a question is asked nine times more, and the median is told."""
NEWEST: Final = "Newest 100"
ERRORS: Final = "Newest 100 errors of a logger"
TEXT: Final = "Text in a day"
TRIGRAMS: Final = "Text in a day, with pg_trgm"
HISTOGRAM: Final = "Levels and hours of a day"
Ask = Callable[[sa.Connection, Names], object]


@dataclass(frozen=True)
class Known:
    """What is in a table, for the questions to ask about."""

    month: Window
    """All its records."""
    day: Window
    """The day with the most records."""
    trace: str
    user: int


def tables(run: Run) -> Iterator[Table]:
    """A table for each question; the names of the contenders are millions of rows."""
    dsns = {f"{millions:g}": loaded(run.server, millions) for millions in run.rows}
    known = {size: _look(dsn) for size, dsn in dsns.items()}

    def table(title: str, ask: Callable[[Known], Ask], note: str) -> Table:
        contenders = {size: partial(_measure, dsn, ask(known[size])) for size, dsn in dsns.items()}
        return Table(
            title,
            contenders,
            to=next(iter(dsns)),
            compare=("buffers",),
            plot=("again_ms",),
            axis="million rows",
            note=f"{note} First: by a fresh connection, as a command has it; again: by one that asks again.",
        )

    yield table(NEWEST, lambda known: _newest("", known.month), "`dblog query --since 30d`.")
    yield table(
        ERRORS,
        lambda known: _newest("logger:shop.mail.views level>=error", known.month),
        "`dblog query --since 30d 'logger:shop.mail.views level>=error'`: one record in 2,800.",
    )
    yield table(
        TEXT,
        lambda known: _newest(f'"{RARE_TEXT}"', known.day),
        "The newest 100 with a text that one record in 20,000 has; of the busiest day all records are read.",
    )
    with _trigrams(dsns, known):
        yield table(
            TRIGRAMS,
            lambda known: _newest(f'"{RARE_TEXT}"', known.day),
            "The same with a GIN index of trigrams on that day's partition.",
        )
    yield table(HISTOGRAM, lambda known: _count(known.day, 0), "`dblog stats --top 0`, busiest day.")
    yield table(
        "Levels, hours and loggers of a day", lambda known: _count(known.day, 10), "`dblog stats`, busiest day."
    )
    yield table("One trace in a day", lambda known: _newest(f"trace:{known.trace}", known.day), "By its index.")
    yield table(
        "One user in a day",
        lambda known: _newest(f"extra.user_id:{known.user}", known.day),
        "A value in `extra_data`, without an index.",
    )


def _newest(text: str, window: Window) -> Ask:
    query = Query(parse(text), window, LIMIT)
    return lambda connection, names: list(records(connection, logs_table(names), query))


def _count(window: Window, top: int) -> Ask:
    return lambda connection, names: summarize(connection, names, Query(parse(""), window, 0), top=top)


def _measure(dsn: str, ask: Ask) -> Figures:
    """Ask over one fresh connection, again and again, then let PostgreSQL say what the very same statements touch."""
    statements: list[tuple[str, Any]] = []
    with reading(load_settings({}, dsn=dsn).database) as (connection, names):
        first = _seconds(ask, connection, names)
        sa.event.listen(
            connection, "before_cursor_execute", lambda _1, _2, text, values, _3, _4: statements.append((text, values))
        )
        again = _seconds(ask, connection, names)
        asked = statements.copy()
        if again < QUICK:
            again = statistics.median(_seconds(ask, connection, names) for _ in range(9))
        buffers = sum(_buffers(connection, *each) for each in asked)
    return {"again_ms": again * 1000, "first_ms": first * 1000, "buffers": buffers}


def _seconds(ask: Ask, connection: sa.Connection, names: Names) -> float:
    began = time.perf_counter()
    ask(connection, names)
    connection.rollback()
    return time.perf_counter() - began


def _buffers(connection: sa.Connection, statement: str, values: Any) -> int:
    """The buffers that a statement touches, in shared memory or not."""
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values).scalar_one()
    plan = explained[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _look(dsn: str) -> Known:
    """Find the busiest day, and a trace and a user of it."""
    with psycopg.connect(dsn, row_factory=scalar_row) as connection:
        day = datetime.strptime(connection.execute(_BUSIEST).fetchone() or "", "%Y%m%d").replace(tzinfo=UTC)
        trace = connection.execute(_TRACE, [day + timedelta(hours=9)]).fetchone()
        user = connection.execute(_USER, [day + timedelta(hours=9)]).fetchone()
    month = Window(day - timedelta(days=DAYS), day + timedelta(days=DAYS))
    return Known(month, Window(day, day + timedelta(days=1)), str(trace), int(user or 0))


_BUSIEST: Final = """
SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = 'dblog_logs'::regclass
ORDER BY pg_relation_size(inhrelid) DESC LIMIT 1
"""
_TRACE: Final = "SELECT trace_id FROM dblog_logs WHERE timestamp >= %s AND trace_id IS NOT NULL LIMIT 1"
_USER: Final = (
    "SELECT extra_data ->> 'user_id' FROM dblog_logs WHERE timestamp >= %s AND extra_data IS NOT NULL LIMIT 1"
)


@contextmanager
def _trigrams(dsns: dict[str, str], known: dict[str, Known]) -> Iterator[None]:
    """Give the busiest day of each table an index of trigrams for the time of the block."""
    for size, dsn in dsns.items():
        part = sql.Identifier(f"dblog_logs_p{known[size].day.since:%Y%m%d}")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm; SET maintenance_work_mem = '512MB'")
            for column in ("message", "exception"):
                name = sql.Identifier(f"trigrams_of_{column}")
                connection.execute(
                    sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING gin ({} gin_trgm_ops)").format(
                        name, part, sql.Identifier(column)
                    )
                )
    yield
    for dsn in dsns.values():
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP INDEX trigrams_of_message, trigrams_of_exception")

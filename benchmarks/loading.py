"""Tables of many million records over 30 days, made on the server: `python -m benchmarks.loading --rows 10 --dsn DSN`.

A day has as many records as its weekday usually sees, in the order of time, in batches of 1,000 from 24 writers, with
the ledger rows that belong to them. One record in twenty is a warning, one in a hundred an error with a traceback; two
in five have extra values, one in five a trace. A few loggers say most.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from dblog.embedded import EmbeddedServer
from dblog.fields import IndexProfile
from dblog.store.migrate import prepare

DAYS: Final = 30
MILLION: Final = 1_000_000
TEMPLATE: Final = 100_000
"""Different records, at most; they are repeated, with other times, numbers and traces."""
WEEK: Final = (1.2, 1.2, 1.2, 1.2, 1.2, 0.5, 0.5)
"""How busy the days of a week are, from Monday on."""
FILLED: Final = timedelta(hours=23)
"""How much of a day has records: the rest is for those that are measured being stored."""
CONNECTIONS: Final = 2
RARE_TEXT: Final = "lock not available"
"""What about one message in 20,000 says."""

# random() follows from setseed, so that every load makes the same records; the power makes few loggers say most.
_TEMPLATE: Final = r"""
CREATE TABLE template AS
SELECT n, kind.level_no, kind.level,
       'shop.' || (ARRAY['web', 'payment', 'stock', 'search', 'mail', 'auth', 'cart', 'ship'])[1 + logger % 8]
           || '.' || (ARRAY['views', 'client', 'db', 'jobs', 'cache'])[1 + logger / 8] AS logger,
       'module_' || logger AS module, 'handle_' || line AS function, 'module_' || logger || '.py' AS filename,
       40 + line * 7 AS lineno, '/srv/app/releases/current/shop/module_' || logger || '.py' AS pathname,
       'ThreadPoolExecutor-0_' || n % 8 AS thread_name, 139600000000000 + n % 8 * 1000 AS thread_id,
       CASE WHEN kind.level_no >= 40 THEN 'ConnectionResetError' END AS exception_type,
       CASE WHEN kind.level_no >= 40 THEN 'Traceback (most recent call last):' || repeat(
           format(E'\n  File "/srv/app/releases/current/shop/module_%s.py", line %s, in handle_%s\n    return call(%s)',
                  logger, line, line, n), 8) || E'\nConnectionResetError: [Errno 104] reset by peer' END AS exception,
       CASE WHEN n % 5 < 2 THEN jsonb_build_object('user_id', floor(20000 * random() ^ 2), 'path', '/checkout/' || line,
           'duration_ms', round((random() * 900)::numeric, 1)) END AS extra_data,
       n % 5 = 4 AS traced,
       CASE WHEN kind.level_no >= 40 THEN 'Request to the payment provider failed after 3 attempts, order '
            WHEN n % 20000 = 7 THEN 'Could not reserve the article: lock not available, giving up on order '
            ELSE (ARRAY['Order was paid with a card of a customer who had bought before, order ',
                        'GET /products answered with status 200 and 18,422 bytes, order ',
                        'Cache miss for the prices of a category, asking the database, order ',
                        'Stock of an article went below the limit at which it is ordered again, order ',
                        'Sent the confirmation to the customer, order ',
                        'Session was renewed, order '])[1 + line % 6] END AS message
FROM (
    SELECT n, floor(40 * random() ^ 3)::int AS logger, floor(20 * random())::int AS line, random() AS chance
    FROM generate_series(0, {template} - 1) AS n
) AS drawn
CROSS JOIN LATERAL (
    SELECT CASE WHEN chance < 0.01 THEN 40 WHEN chance < 0.05 THEN 30 WHEN chance < 0.2 THEN 10 ELSE 20 END AS level_no,
           CASE WHEN chance < 0.01 THEN 'ERROR' WHEN chance < 0.05 THEN 'WARNING' WHEN chance < 0.2 THEN 'DEBUG'
                ELSE 'INFO' END AS level
) AS kind
ORDER BY n
"""

_LOGS: Final = """
INSERT INTO dblog_logs (writer_id, batch_seq, "timestamp", level_no, level, logger_name, service, hostname, process_id,
    module, function_name, filename, lineno, pathname, thread_id, thread_name, trace_id, span_id, exception_type,
    exception, extra_data, message)
SELECT ('00000000-0000-4000-8000-' || lpad(writer::text, 12, '0'))::uuid, batch / 24 + 1,
       {begin} + number * {step}, level_no, level, logger, 'service-' || writer % 6, 'web-' || writer % 12,
       4000 + writer, module, function, filename, lineno, pathname, thread_id, thread_name,
       CASE WHEN traced THEN md5(((number + {offset}) / 40)::text) END,
       CASE WHEN traced THEN substr(md5(number::text), 1, 16) END,
       exception_type, exception, extra_data, message || (number * 7919 + {offset}) % 1000003
FROM template, LATERAL (SELECT {first}::bigint + n AS number) AS numbered,
     LATERAL (SELECT (number + {offset}) / 1000 AS batch) AS batched, LATERAL (SELECT batch % 24 AS writer) AS written
WHERE n < {count}
"""

_LEDGER: Final = """
INSERT INTO dblog_batches (birth_day, writer_id, batch_seq, rows_stored, rows_rejected, time_from, time_to, accepted,
    closing, service, hostname, process_id)
SELECT min("timestamp" AT TIME ZONE 'UTC')::date, writer_id, batch_seq, count(*), 0, min("timestamp"), max("timestamp"),
       batch_seq * 1000, false, min(service), min(hostname), min(process_id)
FROM dblog_logs
WHERE "timestamp" >= {begin} AND "timestamp" < {begin} + interval '1 day'
GROUP BY writer_id, batch_seq
"""


def loaded(server: EmbeddedServer, millions: float, indexes: IndexProfile = "standard") -> str:
    """The connection string of a database on the server with that many million records; made if it is not there."""
    name = f"rows_{round(millions * MILLION)}_{indexes}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return server.dsn(name)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    load(server.dsn(name), millions, indexes)
    return server.dsn(name)


def load(dsn: str, millions: float, indexes: IndexProfile = "standard") -> None:
    """Make the tables and put that many million records into them; the server does not wait for its disk meanwhile."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        prepare(connection, schema=None, table_prefix="dblog", partition_by="day", indexes=indexes, partitions_ahead=7)
        days = _days(connection)
        for name, value in _HASTY.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SET max_parallel_workers_per_gather = 0; SELECT setseed(0.5)")
        connection.execute(sql.SQL(_TEMPLATE).format(template=min(TEMPLATE, round(millions * MILLION))))
        for day in days:
            connection.execute("SELECT dblog_make_partition(%s)", [day])
    shares = [WEEK[day.weekday()] for day in days]
    counts = [round(millions * MILLION * share / sum(shares)) for share in shares]
    offsets = [sum(counts[:number]) // 1000 * 1000 for number in range(len(counts))]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in pool.map(lambda each: _load_day(dsn, *each), zip(days, counts, offsets, strict=True)):
            print(f"  {done:%Y-%m-%d} of {days[-1]:%Y-%m-%d} is loaded", file=sys.stderr, flush=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE template")
        for name in _HASTY:
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CHECKPOINT")


_HASTY: Final = {"fsync": sql.SQL("off"), "full_page_writes": sql.SQL("off"), "max_wal_size": sql.SQL("'8GB'")}


def _days(connection: psycopg.Connection) -> list[datetime]:
    """The beginnings of the days, up to the last full one."""
    row = connection.execute("SELECT now()").fetchone()
    now = row[0].astimezone(UTC) if row else datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=DAYS - number) for number in range(DAYS)]


def _load_day(dsn: str, day: datetime, count: int, offset: int) -> datetime:
    with psycopg.connect(dsn, autocommit=True) as connection:
        begin = sql.Literal(day)
        for first in range(0, count, TEMPLATE):
            connection.execute(
                sql.SQL(_LOGS).format(
                    begin=begin,
                    step=sql.Literal(FILLED / count),
                    offset=sql.Literal(offset),
                    first=sql.Literal(first),
                    count=sql.Literal(min(TEMPLATE, count - first)),
                )
            )
        connection.execute(sql.SQL(_LEDGER).format(begin=begin))
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(f"dblog_logs_p{day:%Y%m%d}")))
    return day


def main() -> None:
    """Load one database."""
    parser = argparse.ArgumentParser(prog="benchmarks.loading", description=__doc__)
    parser.add_argument("--rows", type=float, required=True, metavar="MILLIONS", help="how many million records")
    parser.add_argument("--dsn", required=True, help="a database of a throw-away server, as a superuser")
    parser.add_argument("--indexes", default="standard", help="minimal, standard or full")
    options = parser.parse_args()
    load(options.dsn, options.rows, options.indexes)


if __name__ == "__main__":
    main()

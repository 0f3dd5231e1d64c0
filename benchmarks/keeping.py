"""What it costs to let old records go, and whether anybody waits for it.

A partition of many rows is dropped, as `dblog prune` does it, and as many rows are deleted, as whoever has one table
has to. Then partitions are made and dropped while four sessions copy without a pause and a fifth has read the table.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog.config import load_settings
from dblog.store.engine import keeping
from dblog.store.expiry import find_expired
from dblog.store.partitions import make_ahead, make_partition
from dblog.store.policy import Policy
from dblog.store.retention import prune

ROWS: Final = 5_000_000
WRITERS: Final = 4
OLD: Final = timedelta(days=370)
KEEPER: Final = "keeper"
"""The name of the sessions that make and drop partitions, by which a wait for them is known."""

_FILL: Final = """
INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, process_id, module,
    function_name, filename, lineno, thread_id, thread_name, message)
SELECT '11111111-1111-4111-8111-111111111111', 1 + n / 1000, %(start)s + n * interval '10 ms', 20, 'INFO',
    'shop.orders.' || n %% 40, 'web-1', 4711, 'orders', 'place', 'orders.py', 40 + n %% 20, 139600000000000, 'worker-1',
    'Order was paid with a card of a customer who had bought before, order ' || n
FROM generate_series(0, %(rows)s - 1) AS n
"""
_COPY: Final = (
    b"COPY dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) FROM STDIN"
)
_WAITING: Final = """
SELECT writer.pid FROM pg_stat_activity AS writer WHERE writer.application_name = 'writer' AND EXISTS (
    SELECT FROM pg_stat_activity AS keeper
    WHERE keeper.application_name = 'keeper' AND keeper.pid = ANY (pg_blocking_pids(writer.pid)))
"""


def tables(run: Run) -> Iterator[Table]:
    """Dropping against deleting; then how long inserts wait while partitions come and go."""
    rows = 2_000 if run.tiny else ROWS // 50 if run.quick else ROWS
    yield Table(
        f"Letting {rows:,} records go",
        {"dblog prune": lambda: _prune(run.dsn, rows), "DELETE and VACUUM": lambda: _delete(run.dsn, rows)},
        to="dblog prune",
        compare=("gone_s",),
        note="Filling the partition is not measured; neither is the VACUUM that DELETE needs then.",
        rounds=1,
    )
    held = 0.2 if run.tiny else 1 if run.quick else 5
    keepers: dict[str, Callable[[str], None]] = {
        "nothing": lambda _dsn: None,
        "dblog": _keep,
        "PARTITION OF and DROP TABLE": _keep_plainly,
    }
    yield Table(
        "Inserts while partitions are made and dropped",
        {name: partial(_write_meanwhile, run.dsn, keeper, held) for name, keeper in keepers.items()},
        note=f"{WRITERS} sessions copy without a pause, another one holds a transaction that has read the table for "
        f"{held} s; meanwhile a partition is made and one is dropped. Waited: the longest time that a writer "
        "was seen waiting for the session that does it.",
        rounds=1,
    )


def _fill(dsn: str, rows: int) -> tuple[str, float]:
    """Make an old partition with rows in it; returns its name and megabytes."""
    start = (datetime.now(UTC) - OLD).replace(hour=0, minute=0, second=0, microsecond=0)
    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        name = make_partition(connection, names, start)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_FILL, {"start": start, "rows": rows})
        connection.execute("CHECKPOINT")
        return name, _size(connection, name)


def _size(connection: psycopg.Connection, name: str) -> float:
    row = connection.execute("SELECT pg_total_relation_size(to_regclass(%s)) / 1e6", [name]).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def _prune(dsn: str, rows: int) -> Figures:
    name, before = _fill(dsn, rows)
    with keeping(load_settings({}, dsn=dsn).database) as (connection, names):
        expiry = find_expired(connection, names, Policy(365))
        start = time.perf_counter()
        list(prune(connection, names, expiry, force=True))
        took = time.perf_counter() - start
    with psycopg.connect(dsn, autocommit=True) as connection:
        left = _size(connection, name)
    return {"gone_s": took, "given_back_mb": before - left, "left_mb": left}


def _delete(dsn: str, rows: int) -> Figures:
    name, before = _fill(dsn, rows)
    day = sql.Literal((datetime.now(UTC) - OLD + timedelta(days=1)).date())
    with psycopg.connect(dsn, autocommit=True) as connection:
        start = time.perf_counter()
        connection.execute(sql.SQL("DELETE FROM dblog_logs WHERE timestamp < {}").format(day))
        took = time.perf_counter() - start
        connection.execute(sql.SQL("VACUUM (TRUNCATE FALSE) {}").format(sql.Identifier(name)))
        left = _size(connection, name)
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return {"gone_s": took, "given_back_mb": before - left, "left_mb": left}


def _keep(dsn: str) -> None:
    """Make partitions, and prune until what the reader kept from going is gone."""
    with keeping(load_settings({}, dsn=make_conninfo(dsn, application_name=KEEPER)).database) as (connection, names):
        make_ahead(connection, names, 10)
        make_partition(connection, names, datetime.now(UTC) - timedelta(days=100))
        waiting = True
        while waiting:
            expiry = find_expired(connection, names, Policy(365))
            removals = list(prune(connection, names, expiry, force=True))
            waiting = any(removal.action == "waiting" for removal in removals)


def _keep_plainly(dsn: str) -> None:
    """The same with the statements that come to mind first."""
    with psycopg.connect(make_conninfo(dsn, application_name=KEEPER), autocommit=True) as connection:
        day = (datetime.now(UTC) - timedelta(days=120)).date()
        bounds = (sql.Literal(day), sql.Literal(day + timedelta(days=1)))
        made = sql.SQL("CREATE TABLE plain PARTITION OF dblog_logs FOR VALUES FROM ({}) TO ({})")
        connection.execute(made.format(*bounds))
        connection.execute("DROP TABLE plain")


class _Waits:
    """How long writers wait for the keeper, by looking again and again."""

    def __init__(self, dsn: str) -> None:
        self.longest = 0.0
        self._dsn = dsn

    def look_until(self, stop: threading.Event) -> None:
        since: dict[int, float] = {}
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not stop.wait(0.005):
                waiting = {pid for (pid,) in connection.execute(_WAITING.encode())}
                now = time.perf_counter()
                since = {pid: since.get(pid, now) for pid in waiting}
                self.longest = max([self.longest, *(now - first for first in since.values())])


def _write_meanwhile(dsn: str, keep: Callable[[str], None], held: float) -> Figures:
    _fill(dsn, 1_000)
    stop, waits = threading.Event(), _Waits(dsn)
    with ThreadPoolExecutor(WRITERS + 3) as pool:
        writers = [pool.submit(_write, make_conninfo(dsn, application_name="writer"), stop) for _ in range(WRITERS)]
        looking = pool.submit(waits.look_until, stop)
        try:
            with _reader(dsn, held, pool):
                keep(dsn)
        finally:
            stop.set()
        looking.result()
        batches = [took for writer in writers for took in writer.result()]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs")
    return {
        "batches_per_s": len(batches) * WRITERS / sum(batches) if batches else math.nan,
        "slowest_batch_ms": max(batches, default=math.nan) * 1000,
        "waited_ms": waits.longest * 1000,
    }


@contextmanager
def _reader(dsn: str, held: float, pool: ThreadPoolExecutor) -> Iterator[None]:
    """A transaction that has read the table and is held open for some seconds from here on."""
    read = threading.Event()

    def hold() -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT count(*) FROM dblog_logs")
            read.set()
            time.sleep(held)

    holding = pool.submit(hold)
    read.wait()
    yield
    holding.result()


def _write(dsn: str, stop: threading.Event) -> list[float]:
    """Copy batches until the end; how many seconds each took."""
    took = []
    with psycopg.connect(dsn) as connection:
        while not stop.is_set():
            start = time.perf_counter()
            moment = datetime.now(UTC)
            with connection.cursor().copy(_COPY) as copy:
                row = (
                    f"11111111-1111-4111-8111-111111111111\t1\t{moment}\t20\tINFO\tshop.orders\tweb-1\tOrder was paid\n"
                )
                copy.write(row * 1_000)
            connection.commit()
            took.append(time.perf_counter() - start)
    return took

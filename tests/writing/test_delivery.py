"""Outages of a real database: nothing lost, nothing doubled, one line a minute for the operator, no secrets in it."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from crashed_servers import crash
from delivered import log, messages, migrate
from eventually import eventually
from programs import IMPORTABLE
from psycopg.conninfo import make_conninfo
from servers import Database
from spools import waiting_segments
from stderr import said_so_far

from dblog import DatabaseLogHandler
from dblog.embedded import EmbeddedServer

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]


@pytest.mark.parametrize("with_spool", [False, True])
def test_an_outage_loses_and_doubles_nothing(
    private_server: EmbeddedServer,
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    with_spool: bool,
) -> None:
    """What is logged before, during and after an outage is stored once, in memory or through the spool."""
    dsn = private_server.dsn()
    migrate(dsn)
    handler = make_handler(dsn, flush_interval=0.02, batch_size=50, spool_dir=tmp_path if with_spool else None)
    logger = attach(handler)
    expected = log(logger, 0, 100)
    assert handler.flush(30)
    crash(private_server)
    expected += log(logger, 100, 400)
    eventually(lambda: handler.stats().state != "connected", "the outage to be noticed")
    if with_spool:
        eventually(lambda: handler.stats().spooled, "records in the spool")
    assert with_spool or not handler.flush(0.1)
    assert_conserved(handler)
    private_server.start()
    expected += log(logger, 400, 500)
    eventually(lambda: handler.stats().stored == {20: 500}, "everything to be stored")
    assert_conserved(handler)
    handler.close()
    assert messages(dsn) == expected
    assert list(tmp_path.rglob("*.seg")) == []
    lines = capfd.readouterr().err.splitlines()
    assert [re.sub(r".* (does not take|takes) records.*", r"\1", line) for line in lines] == ["does not take", "takes"]
    assert "postgres@127.0.0.1" in lines[0]
    assert private_server._password not in str(lines)


def test_a_database_that_comes_up_later(
    private_server: EmbeddedServer, make_handler: MakeHandler, attach: Attach, assert_conserved: Conserved
) -> None:
    """Logging works before the database does; once it is there the tables are made and everything is stored."""
    private_server.stop()
    handler = make_handler(private_server.dsn())
    expected = log(attach(handler), 0, 100)
    assert not handler.flush(0.1)
    eventually(lambda: handler.stats().waiting == {20: 100}, "all records among what waits")
    private_server.start()
    assert handler.flush(60)
    assert messages(private_server.dsn()) == expected
    assert_conserved(handler)


def test_connections_killed_under_load(
    database: Database, make_handler: MakeHandler, attach: Attach, assert_conserved: Conserved
) -> None:
    """While connections are killed again and again, every record is stored exactly once."""
    handler = make_handler(database.dsn, flush_interval=0.001, batch_size=20)
    logger = attach(handler)
    done = threading.Event()

    def kill() -> None:
        with database.connect() as connection:
            while not done.wait(0.02):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dblog'"
                )

    killer = threading.Thread(target=kill)
    killer.start()
    expected = Counter[str]()
    for start in range(0, 2000, 20):
        expected += log(logger, start, start + 20)
        handler.flush(0.01)
    done.set()
    killer.join()
    assert handler.flush(30)
    assert messages(database.dsn) == expected
    assert_conserved(handler)


@pytest.mark.parametrize("with_spool", [False, True])
def test_closing_while_the_server_is_frozen(
    private_server: EmbeddedServer,
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    with_spool: bool,
) -> None:
    """A server that is stopped in the middle costs `close` no more than its time; what waited is printed or spooled."""
    dsn = private_server.dsn()
    migrate(dsn)
    handler = make_handler(dsn, spool_dir=tmp_path if with_spool else None)
    logger = attach(handler)
    log(logger, 0, 10)
    assert handler.flush(30)
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'dblog'").fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    try:
        log(logger, 10, 30)
        assert not handler.flush(0.2)
        handler.close(0.5)
        assert handler.stats().state == "closed"
        assert_conserved(handler)
    finally:
        os.kill(row[0], signal.SIGCONT)
    assert handler.stats().stored == {20: 10}
    printed = [line.split()[-1] for line in capfd.readouterr().err.splitlines() if "not stored" in line]
    assert printed == ([] if with_spool else [str(number) for number in range(10, 30)])
    assert (handler.stats().spooled if with_spool else handler.stats().printed) == {20: 20}
    # The COMMIT may have been under way, so the rows may be in the table as well: the next handler doubles nothing.
    other = make_handler(dsn, spool_dir=tmp_path)
    log(attach(other), 30, 31)
    assert other.flush(30)
    eventually(lambda: not with_spool or not waiting_segments(tmp_path), "the spool to be empty")
    found = messages(dsn)
    assert set(found.values()) == {1}
    assert not with_spool or found == Counter(map(str, range(31)))


def test_the_spool_of_a_dead_process_is_delivered(
    database: Database, make_handler: MakeHandler, attach: Attach, tmp_path: Path, assert_conserved: Conserved
) -> None:
    """What a killed process left in the spool is stored once by the next one, under its own writer, uncounted there."""
    away = make_conninfo(database.dsn, port="1")
    program = """
import logging, os, signal, sys, dblog
handler = dblog.DatabaseLogHandler(sys.argv[1], spool_dir=sys.argv[2])
logging.getLogger().addHandler(handler)
for number in range(50): logging.warning("%d", number)
handler.close(0.2)
print(handler.stats().spooled)
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, away, tmp_path],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "50" in done.stdout, done.stderr
    handler = make_handler(away, spool_dir=tmp_path)
    handler._writer.delivery.database.conninfo = database.dsn  # as if the server had come back at the same address
    log(attach(handler), 100, 101)
    assert handler.flush(30)
    eventually(lambda: sum(messages(database.dsn).values()) == 51, "the adopted records")
    assert messages(database.dsn) == Counter(map(str, [*range(50), 100]))
    assert handler.stats().stored == {20: 1}
    assert_conserved(handler)
    with database.connect() as connection:
        writers = connection.execute("SELECT count(DISTINCT writer_id) FROM dblog_logs").fetchone()
    assert writers == (2,)
    handler.close()
    assert list(tmp_path.iterdir()) == []


def test_damage_in_the_spool_is_counted_as_dropped(
    private_server: EmbeddedServer,
    make_handler: MakeHandler,
    attach: Attach,
    tmp_path: Path,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Records that the spool cannot give back are no longer counted as spooled but as dropped, and announced."""
    private_server.stop()
    handler = make_handler(private_server.dsn(), spool_dir=tmp_path, flush_interval=0.01)
    logger = attach(handler)
    log(logger, 0, 10)
    eventually(lambda: handler.stats().spooled == {20: 10}, "the records in the spool")
    (segment,) = tmp_path.rglob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(b"MainThread")] ^= 0xFF
    segment.write_bytes(data)
    private_server.start()
    logger.info("after")
    eventually(lambda: handler.stats().dropped == {20: 10}, "the damage to be found")
    assert handler.flush(30)
    assert_conserved(handler)
    assert "damaged" in said_so_far(capfd)

"""Connections that are cut at the worst moments: after the COMMIT and before its answer, or at any byte."""

from collections.abc import Callable

import pytest
from application import Application
from proxies import Proxy, RandomCuts, keep_answer_to_commit, port_of
from psycopg.conninfo import make_conninfo
from servers import Database

Start = Callable[..., Application]


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=pytest.mark.torture)])
def test_an_answer_to_commit_that_is_always_lost(database: Database, start: Start, count: int) -> None:
    """Every batch is committed without anybody knowing; each is sent again, recognized, and stored once."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT no_fives CHECK (message NOT LIKE '%5')")
    with Proxy(port_of(database.dsn), keep_answer_to_commit) as proxy:
        dsn = make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port)
        application = start(dsn).log(count)
        application.expect_refused(lambda message: message.endswith("5"))
        application.await_recovery(timeout=200)
        application.handler.close()
    application.check(database.dsn)
    assert proxy.cuts >= count / 50
    assert application.handler.stats().rejected == {20: count / 10}


@pytest.mark.parametrize(
    ("seed", "count", "cuts"),
    [
        *((seed, 500, 6) for seed in range(3)),
        *(pytest.param(seed, 20_000, 20, marks=pytest.mark.torture) for seed in range(100, 110)),
    ],
)
def test_a_cut_at_any_byte(database: Database, start: Start, seed: int, count: int, cuts: int) -> None:
    """Wherever a connection is cut, in either direction, every record is stored once."""
    with Proxy(port_of(database.dsn), RandomCuts(seed, cuts)) as proxy:
        dsn = make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port)
        application = start(dsn, connect_timeout=2).log(count)
        application.await_recovery(timeout=200)
        application.handler.close()
    application.check(database.dsn)
    assert proxy.cuts > 0

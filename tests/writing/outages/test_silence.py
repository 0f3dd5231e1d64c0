"""Peers that are still connected and say nothing: half-open connections, frozen backends, a frozen server."""

import os
import signal
from collections.abc import Callable

import psycopg
import pytest
from application import Application
from delivered import migrate
from proxies import Proxy, port_of
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]


def test_a_connection_that_falls_silent(database: Database, start: Start) -> None:
    """When the way to the server is cut without a word, the time limit of the batch notices."""
    with Proxy(port_of(database.dsn)) as proxy:
        dsn = make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port)
        application = start(dsn, query_timeout=5, connect_timeout=2)
        application.log()
        assert application.handler.flush(30)
        proxy.silent = True
        application.log(1)  # then the next try hangs while it connects, 2 s for each
        application.await_failure("no answer within the time limit")
        proxy.silent = False
        application.log().await_recovery()
        application.check(dsn)


@pytest.mark.parametrize("whole", [False, True], ids=["backend", "server"])
def test_a_server_that_freezes(private_server: EmbeddedServer, start: Start, whole: bool) -> None:
    """Another connection takes over from a frozen backend; a server that is frozen altogether is waited for."""
    dsn = private_server.dsn()
    migrate(dsn)
    application = start(dsn, query_timeout=5, connect_timeout=2).log()
    assert application.handler.flush(30)
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'dblog'").fetchone()
    assert row is not None
    assert private_server.pid
    frozen = [row[0], private_server.pid] if whole else [row[0]]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        application.log(1)
        application.await_failure("no answer within the time limit")
        if not whole:
            application.await_recovery()
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    application.log().await_recovery()
    application.check(dsn)

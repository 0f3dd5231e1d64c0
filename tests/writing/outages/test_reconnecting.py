"""How often an outage is felt by the server and by whoever reads stderr: few attempts, one line."""

from collections.abc import Callable

import pytest
from application import Application
from delivered import migrate
from eventually import eventually
from proxies import Proxy, port_of
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]


@pytest.mark.parametrize("failures", [8, pytest.param(40, marks=pytest.mark.torture)])
def test_each_failure_is_one_connection(database: Database, start: Start, failures: int) -> None:
    """While connections break, each try makes one at most, and stderr has one line: no storm, however long it lasts."""
    with Proxy(port_of(database.dsn), lambda *_: 0) as proxy:
        dsn = make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port)
        application = start(dsn).log()
        eventually(lambda: application.handler.stats().failures >= failures, "the tries to fail", timeout=200)
        assert proxy.accepted <= application.handler.stats().failures + 1
        assert application.said().count("\n") == 1
        proxy.rule = lambda *_: None
        application.await_recovery()
        application.check(database.dsn)


def test_an_open_circuit_lets_one_probe_through(private_server: EmbeddedServer, start: Start) -> None:
    """With the circuit open one batch is tried at a time; when that succeeds all others follow, over one connection."""
    dsn = private_server.dsn()
    migrate(dsn)
    with Proxy(private_server.port) as proxy:
        application = start(make_conninfo(dsn, port=proxy.port)).log()
        assert application.handler.flush(30)
        private_server.stop()
        application.log(1000).await_outage("no connection to the server")
        assert application.handler.stats().state == "circuit open"
        private_server.start()
        failures = application.handler.stats().failures
        application.await_recovery()
        stats = application.handler.stats()
        assert proxy.accepted <= 1 + stats.failures + 1
        assert stats.failures - failures < 20
        application.check(dsn)

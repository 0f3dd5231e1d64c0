"""Servers in recovery, and a standby that takes over: records wait for a server that takes writes, and find it."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from application import Application
from crashed_servers import crash
from delivered import migrate
from eventually import eventually
from replicas import dsn_of_both, dsn_of_copy, follow, promote

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]


@pytest.fixture
def standby(private_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A standby of the test's server, which has the tables."""
    migrate(private_server.dsn())
    with EmbeddedServer((private_server.home / "bin").resolve(), durable=False) as second:
        follow(second, private_server)
        yield second


def test_a_standby_takes_over(private_server: EmbeddedServer, standby: EmbeddedServer, start: Start) -> None:
    """With both hosts in the connection string, a failover is an outage like any other: all is there once."""
    copy = dsn_of_copy(standby, private_server)
    application = start(dsn_of_both(private_server, standby), connect_timeout=2)
    application.survive(lambda: crash(private_server), lambda: promote(copy), "the server is read-only")
    application.check(copy)


def test_an_old_primary_that_lives_on_read_only(
    private_server: EmbeddedServer, standby: EmbeddedServer, start: Start
) -> None:
    """A session that is still open to a server that takes no writes any more is given up for the other server."""
    copy = dsn_of_copy(standby, private_server)
    application = start(dsn_of_both(private_server, standby), connect_timeout=2).log()
    assert application.handler.flush(30)
    promote(copy)
    with psycopg.connect(private_server.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
    eventually(lambda: is_read_only(private_server.dsn()), "the old primary to know it")
    application.log().await_recovery()
    application.check(copy)


def is_read_only(dsn: str) -> bool:
    """Whether new sessions may only read; those that there were have been told before."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


@pytest.mark.torture
def test_a_standby_is_no_place_to_write(private_server: EmbeddedServer, standby: EmbeddedServer, start: Start) -> None:
    """With the standby alone in the connection string records wait until it is promoted."""
    copy = dsn_of_copy(standby, private_server)
    application = start(copy).log()
    application.await_outage("the server is read-only (SQLSTATE 25006)")
    private_server.stop()
    promote(copy)
    application.log().await_recovery()
    application.check(copy)

"""Exchanges with PostgreSQL under a deadline that holds even when the server is frozen."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import errors
from servers import Server

from dblog.embedded import EmbeddedServer
from dblog.sinks import exchange


@pytest.fixture
def connection(server: Server) -> Iterator[psycopg.Connection]:
    """A connection with a table of its own to copy into."""
    with closing(psycopg.connect(server.dsn(), autocommit=True)) as opened:  # closed in whatever it is in the middle of
        opened.execute("CREATE TEMP TABLE copied (number integer PRIMARY KEY, filler text)")
        yield opened


def run(connection: psycopg.Connection, query: str, payload: bytes | None = None, seconds: float = 30.0) -> list[bytes]:
    """The command tags of an exchange."""
    results = exchange.run(connection.pgconn, query.encode(), payload, time.monotonic() + seconds)
    return [result.command_status or b"" for result in results]


def count(connection: psycopg.Connection) -> int:
    """Rows in the table."""
    row = connection.execute("SELECT count(*) FROM copied").fetchone()
    assert row is not None
    return int(row[0])


def test_a_whole_transaction_in_one_message(connection: psycopg.Connection) -> None:
    """Several statements with a COPY among them are done at once, and the results of all come back."""
    payload = b"".join(b"%d\t%s\n" % (number, b"x" * 1000) for number in range(5000))
    tags = run(connection, "BEGIN; INSERT INTO copied VALUES (-1); COPY copied FROM STDIN; COMMIT", payload)
    assert tags == [b"BEGIN", b"INSERT 0 1", b"COPY 5000", b"COMMIT"]
    assert count(connection) == 5001


def test_an_insert_that_finds_its_row_stops_the_copy(connection: psycopg.Connection) -> None:
    """Where the ledger's row is there already, nothing is copied and the caller is told."""
    run(connection, "INSERT INTO copied VALUES (1)")
    with pytest.raises(exchange.Duplicate):
        run(
            connection,
            "BEGIN; INSERT INTO copied VALUES (1) ON CONFLICT DO NOTHING; COPY copied FROM STDIN; COMMIT",
            b"2\tx\n",
        )
    run(connection, "ROLLBACK")
    assert count(connection) == 1


@pytest.mark.parametrize("bad", [b"x\tx\n", b"1\n", b"1\tx\ty\n", b"1\t\x80\n", b"1\ta\n1\tb\n"], ids=range(5))
def test_a_refused_copy_leaves_a_usable_connection(connection: psycopg.Connection, bad: bytes) -> None:
    """After an error in the middle of a large COPY the next exchange works as if nothing had been."""
    payload = b"".join(b"%d\tx\n" % number for number in range(10, 50_000)) + bad
    with pytest.raises((errors.DataError, errors.IntegrityError)):
        run(connection, "BEGIN; COPY copied FROM STDIN; COMMIT", payload)
    run(connection, "ROLLBACK")
    assert run(connection, "COPY copied FROM STDIN", b"7\tseven\n") == [b"COPY 1"]


def test_the_first_error_is_the_one_reported(connection: psycopg.Connection) -> None:
    """An error raised is the server's, with its SQLSTATE."""
    with pytest.raises(errors.UndefinedTable) as caught:
        run(connection, "SELECT * FROM nowhere; SELECT 1")
    assert caught.value.sqlstate == "42P01"


def test_a_slow_server_meets_the_deadline(connection: psycopg.Connection) -> None:
    """When the deadline passes the exchange ends with a TimeoutError, however long the server takes."""
    with pytest.raises(TimeoutError):
        run(connection, "SELECT pg_sleep(60)", seconds=0.05)


def test_a_killed_backend_is_noticed(server: Server, connection: psycopg.Connection) -> None:
    """A connection whose server process has ended is not alive, and using it is an OperationalError."""
    assert exchange.is_alive(connection.pgconn)
    with psycopg.connect(server.dsn(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [connection.info.backend_pid])
    assert not exchange.is_alive(connection.pgconn)
    assert not exchange.is_alive(connection.pgconn)
    with pytest.raises(psycopg.OperationalError):
        run(connection, "SELECT 1")


def test_notices_do_not_look_like_an_end(connection: psycopg.Connection) -> None:
    """What the server says by itself, such as a changed parameter or a notification, leaves a connection alive."""
    connection.execute("LISTEN here")
    connection.execute("NOTIFY here")
    assert exchange.is_alive(connection.pgconn)


@pytest.mark.parametrize("size", [10, 20_000_000], ids=["small", "large"])
def test_a_frozen_server_meets_the_deadline(private_server: EmbeddedServer, size: int) -> None:
    """A server that is stopped but connected costs no more than the deadline, also while it is being sent data."""
    with closing(psycopg.connect(private_server.dsn(), autocommit=True)) as opened:
        opened.execute("CREATE TABLE copied (number integer, filler text)")
        backend = opened.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                run(opened, "COPY copied FROM STDIN", b"1\t" + b"x" * size + b"\n", seconds=0.2)
        finally:
            os.kill(backend, signal.SIGCONT)

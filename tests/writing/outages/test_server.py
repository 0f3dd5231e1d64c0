"""A server that is stopped, killed, restarted or flaps: what is logged meanwhile is stored once when it is back."""

import threading
from collections.abc import Callable

import pytest
from application import Application
from crashed_servers import crash
from delivered import migrate

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]


@pytest.mark.parametrize(("how", "saying"), [("stop", "no connection to the server"), ("kill", "")])
def test_a_server_that_is_down_for_a_while(private_server: EmbeddedServer, start: Start, how: str, saying: str) -> None:
    """Whether it was shut down in order or crashed, the records of the outage wait in the spool and come back."""
    dsn = private_server.dsn()
    migrate(dsn)
    application = start(dsn)
    end = {"stop": private_server.stop, "kill": lambda: crash(private_server)}
    application.survive(end[how], private_server.start, saying)
    application.check(dsn)
    assert "takes records again" in application.said()


def test_a_server_that_is_down_from_the_beginning(private_server: EmbeddedServer, start: Start) -> None:
    """Logging works before the database does; once it is there the tables are made and everything is stored."""
    private_server.stop()
    application = start(private_server.dsn()).log()
    application.await_outage("no connection to the server")
    private_server.start()
    application.await_recovery()
    application.check(private_server.dsn())


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.torture)])
def test_a_server_that_flaps_under_load(private_server: EmbeddedServer, start: Start, rounds: int) -> None:
    """A server that is killed and restarted again and again while records come loses and doubles none."""
    dsn = private_server.dsn()
    migrate(dsn)
    application = start(dsn)
    done = threading.Event()

    def flap() -> None:
        for number in range(rounds):
            private_server.kill() if number % 2 else private_server.stop()
            private_server.start()
        done.set()

    flapping = threading.Thread(target=flap)
    flapping.start()
    while not done.is_set():
        application.log(50).handler.flush(0.01)
    flapping.join()
    application.await_recovery(timeout=200)
    application.check(dsn)

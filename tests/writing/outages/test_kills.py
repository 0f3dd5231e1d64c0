"""A server that is killed by SIGKILL at random moments while several threads log: every record is stored once."""

import random
import threading
from collections.abc import Callable
from functools import partial

import pytest
from application import Application
from delivered import migrate
from eventually import eventually

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]
THREADS = 4


@pytest.mark.parametrize(
    ("kills", "records", "seed"), [(2, 20_000, 1), pytest.param(20, 200_000, 2, marks=pytest.mark.torture)]
)
def test_killed_at_random_moments(
    private_server: EmbeddedServer, start: Start, kills: int, records: int, seed: int
) -> None:
    """Threads log in as many rounds as there are kills; in the middle of each the server dies and comes back."""
    dsn = private_server.dsn()
    migrate(dsn)
    application = start(dsn, batch_size=500)
    moments = random.Random(seed)
    rounds = [threading.Semaphore(0) for _ in range(THREADS)]
    share = records // kills // THREADS

    def log(allowed: threading.Semaphore, name: str) -> None:
        for _ in range(kills):
            allowed.acquire()
            application.log_as(name, share)

    threads = [threading.Thread(target=log, args=(allowed, str(each))) for each, allowed in enumerate(rounds)]
    for thread in threads:
        thread.start()
    never = threading.Event()

    def is_felt(failures: int) -> bool:
        application.log_as("meanwhile", 1)  # a session that has not noticed yet goes on and takes records
        return application.handler.stats().failures > failures

    for _ in range(kills):
        for allowed in rounds:
            allowed.release()
        never.wait(moments.uniform(0, 0.5))
        private_server.kill()
        failures = application.handler.stats().failures
        eventually(partial(is_felt, failures), "the kill to be felt")
        private_server.start()
    for thread in threads:
        thread.join()
    application.await_recovery(timeout=200)
    application.check(dsn)
    assert application.handler.stats().stored[20] == sum(application.expected.values()) > records

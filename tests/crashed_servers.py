"""Servers that die, and processes that have noticed it."""

import os
from pathlib import Path

import psycopg
from eventually import eventually

from dblog.embedded import EmbeddedServer


def crash(server: EmbeddedServer) -> None:
    """End a server by SIGKILL, and wait until its sessions have noticed: until then they go on and take records."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        sessions = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        pids = [pid for (pid,) in sessions.fetchall()]
    server.kill()
    eventually(lambda: not any(map(exists, pids)), "the end of the sessions")


def exists(pid: int) -> bool:
    """True while a process runs; one that has ended but was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc on macOS, or the process ended between the two looks
        return not Path("/proc/self").exists()

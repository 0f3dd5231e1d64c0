"""Celery's prefork pool, whose processes end past all that Python runs at an end, and are replaced under load."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import programs
import pytest
from delivered import messages
from eventually import eventually
from servers import Database

from dblog.cli.main import run

FOLDER = Path(programs.__file__).parent
WORKER = (
    "-m",
    "celery",
    "-A",
    "celery_app",
    "worker",
    "--concurrency",
    "2",
    "--pool",
    "prefork",
    "--loglevel",
    "ERROR",
)
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@pytest.mark.parametrize(("tasks", "tasks_per_child"), [(30, 15), pytest.param(5_000, 100, marks=pytest.mark.torture)])
def test_a_pool_whose_processes_are_replaced(
    database: Database, tmp_path: Path, tasks: int, tasks_per_child: int
) -> None:
    """What each task logs is a row, once, though processes end right after their last task, and all at the end."""
    queue, spool_dir = tmp_path / "queue", tmp_path / "spool"
    (queue / "control").mkdir(parents=True)
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "C_FORCE_ROOT": "1",
        "PYTHONPATH": os.pathsep.join([programs.IMPORTABLE, str(FOLDER)]),
        "SHOP_DSN": database.dsn,
        "SHOP_SPOOL": str(spool_dir),
        "SHOP_QUEUE": str(queue),
    }
    command = [sys.executable, *WORKER, *ALONE, "--max-tasks-per-child", str(tasks_per_child)]
    ordering = [sys.executable, str(FOLDER / "celery_app.py"), str(tasks)]
    subprocess.run(ordering, env=environment, check=True, timeout=200)
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE) as worker:
        try:
            eventually(lambda: not list(queue.glob("*.msg")), "all orders to be fetched", timeout=200)
        finally:
            worker.terminate()
            _, said = worker.communicate(timeout=200)
    assert worker.returncode == 0, said.decode()
    assert messages(database.dsn) == Counter(f"order {number}" for number in range(tasks))
    assert run(["verify", "--dsn", database.dsn]) == 0
    assert list(spool_dir.iterdir()) == []

"""The limit of all ways into the table: one COPY of the very same rows, ready in a file."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from dblog.binaries import find_binaries
from dblog.columns import LOG_COLUMNS

COLUMNS = ", ".join(column.name for column in LOG_COLUMNS)
TOOL = next((path for folder in find_binaries() if (path := folder / "psql").exists()), None)
METHOD = r"psql \copy" if TOOL else "a raw COPY, without psql,"


@contextmanager
def rows_in_a_file(dsn: str) -> Iterator[Path]:
    """The rows that the table has now, as COPY writes and reads them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        query = f"COPY (SELECT {COLUMNS} FROM dblog_logs ORDER BY id) TO STDOUT"
        with psycopg.connect(dsn) as connection, connection.cursor().copy(query) as source, path.open("wb") as file:
            for chunk in source:
                file.write(chunk)
        yield path


def seconds_of_copy(dsn: str, path: Path) -> float:
    """Bring the file's rows into the table; psql's start is not counted."""
    return _by_psql(TOOL, dsn, path) if TOOL else _raw(dsn, path)


def _by_psql(psql: Path, dsn: str, path: Path) -> float:
    command = [
        str(psql),
        "-X",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        r"\timing on",
        "-c",
        rf"\copy dblog_logs ({COLUMNS}) from '{path}'",
    ]
    done = subprocess.run(
        [*command, dsn], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=True
    )
    found = re.search(r"^Time: ([\d.]+) ms", done.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError(f"psql told no time: {done.stdout}")
    return float(found[1]) / 1000


def _raw(dsn: str, path: Path) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection, path.open("rb") as file:
        began = time.perf_counter()
        with connection.cursor().copy(f"COPY dblog_logs ({COLUMNS}) FROM STDIN") as target:
            while chunk := file.read(1 << 16):
                target.write(chunk)
        return time.perf_counter() - began

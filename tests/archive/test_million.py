"""A million records: archived, proven, dropped, restored, with no more memory than a fifth of them needs."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from archived import noon
from programs import IMPORTABLE
from servers import Database

ROWS = 1_000_000
MEMORY = 400
"""Megabytes: 308 to 322 were measured, 308 for 200,000 rows, 184 for 10,000; the rows as text have 900."""

COMMAND = """
import resource, sys
from dblog.cli.main import run
code = run(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_a_million_rows_come_back(database: Database, tmp_path: Path) -> None:
    """They are identical after archive, drop and restore, DuckDB counts them, and memory stays bounded."""
    folder = str(tmp_path / "archive")
    with database.connect() as connection:
        connection.execute("SELECT dblog_make_partition(%s)", [noon(20)])
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message, "
            "extra_data, exception) SELECT gen_random_uuid(), i / 10000, %s::timestamptz + i * interval '37 ms', 20, "
            "'INFO', 'app.' || i %% 50, 'web-1', md5(i::text) || ' \\ \"' || repeat(md5((-i)::text), 20), "
            "jsonb_build_object('n', i, 'half', i / 2.0, 'text', E'a\\n\\t' || i), CASE WHEN i %% 7 = 0 THEN '' END "
            "FROM generate_series(1, %s) AS i",
            [noon(20).replace(hour=0), ROWS],
        )
    before = digest_of(database)
    memory = [run_dblog(database, "prune", "--retention-days", "10", "--force", "--archive", folder)]
    assert digest_of(database) == (0, None)
    with duckdb.connect() as engine:
        found = engine.execute(
            f"SELECT count(*), count(DISTINCT id), sum(CAST(extra_data ->> 'n' AS BIGINT)) "
            f"FROM read_parquet('{folder}/*/*/*.parquet')"
        ).fetchone()
    assert found == (ROWS, ROWS, ROWS * (ROWS + 1) // 2)
    memory.append(run_dblog(database, "restore", folder))
    assert digest_of(database) == before
    assert max(memory) < MEMORY, memory


def digest_of(database: Database) -> tuple[object, ...]:
    """How many rows the table has, and a number that every value of every row is part of."""
    with database.connect() as connection:
        found = connection.execute(
            "SELECT count(*), sum(hashtextextended(logs::text, 0)::numeric) FROM dblog_logs AS logs"
        ).fetchone()
    assert found
    return found


def run_dblog(database: Database, *arguments: str) -> int:
    """Run a command in a process of its own, which has to end well; returns the megabytes that it took."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments, "--dsn", database.dsn],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        capture_output=True,
        text=True,
        check=False,
    )
    code, megabytes = done.stderr.split()[-2:]
    assert code == "0", done.stdout + done.stderr
    return int(megabytes)

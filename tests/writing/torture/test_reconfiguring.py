"""Logging that is configured again and again under load, in a program whose drivers log all they do."""

import json
from collections import Counter
from pathlib import Path

import pytest
import reconfiguring_app
from programs import run_to_the_end
from servers import Database

from dblog.cli.main import run

CONFIG = """
version: 1
disable_existing_loggers: false
handlers:
  database:
    class: dblog.DatabaseLogHandler
    dsn: "{dsn}"
    spool_dir: "{spool}"
    durability: {durability}
    close_timeout: 60
loggers:
  psycopg: {{level: DEBUG}}
  psycopg.pool: {{level: DEBUG}}
  sqlalchemy: {{level: DEBUG}}
  alembic: {{level: DEBUG}}
root: {{level: DEBUG, handlers: [database]}}
"""
LOADED = """
    SELECT split_part(message, ' ', 1)::int, count(*), count(DISTINCT message) FROM dblog_logs
    WHERE logger_name LIKE 'load.%' GROUP BY 1
"""


@pytest.mark.parametrize("durability", ["memory", "journal"])
@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.torture)])
def test_configured_again_and_again(empty_database: Database, tmp_path: Path, durability: str, times: int) -> None:
    """Each record that reached a handler is a row, once; with all drivers at DEBUG no delivery makes a record."""
    file, spool_dir = tmp_path / "logging.yml", tmp_path / "spool"
    text = CONFIG.format(dsn=empty_database.dsn, spool=spool_dir, durability=durability)
    file.write_text(text, encoding="utf-8")
    told = json.loads(run_to_the_end(reconfiguring_app.__file__, file, times))
    assert run(["replay", "--dsn", empty_database.dsn, "--spool-dir", str(spool_dir)]) == 0
    with empty_database.connect() as connection:
        rows = {thread: counts for thread, *counts in connection.execute(LOADED)}
    missed = Counter(int(message.split()[0]) for message in told["unhandled"])
    handled = {thread: count - missed[thread] for thread, count in enumerate(told["logged"])}
    print(f"{durability}, {times} times: {sum(handled.values())} records, {len(told['unhandled'])} found no handler")
    assert rows == {thread: [count, count] for thread, count in handled.items()}
    assert told["grown"] == [1] * reconfiguring_app.QUIET_RECORDS
    assert run(["verify", "--dsn", empty_database.dsn]) == 0
    assert list(spool_dir.iterdir()) == []

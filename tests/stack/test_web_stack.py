"""A web service of other people's parts logs everything it does to a file and to the database at once."""

import http.client
import json
import socket
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from programs import TIMEOUT, Start
from servers import Database

WORKER = "dblog-worker"
CLIENTS = 6
REQUESTS = 300
PAGES = tuple(map(quote, ("/visit/é€🦉", "/count", "/visit/%s", "/broken")))
"""What is asked for in turn; the last one answers with an error and a traceback in the log."""

# In the order of the fields in a line of the file.
ROWS = """
    SELECT thread_id, thread_name, timestamp, level_no, level, logger_name, process_id, module, function_name,
           filename, lineno, pathname, message, exception
    FROM dblog_logs ORDER BY id
"""
EVERYBODY = {
    "asyncio",
    "psycopg",
    "psycopg.pool",
    "py.warnings",
    "shop.web",
    "uvicorn.access",
    "uvicorn.asgi",
    "uvicorn.error",
    "sqlalchemy.engine.Engine",
    "sqlalchemy.pool.impl.QueuePool",
}

Thread = tuple[int, str]
Entry = tuple[Any, ...]


def test_the_rows_are_the_lines_of_the_file_in_order_for_each_thread(
    empty_database: Database, start: Start, tmp_path: Path
) -> None:
    """All that uvicorn, SQLAlchemy, psycopg, its pool, asyncio and warnings log at DEBUG is in the table as in a file.

    Left out on purpose is what the drivers log in the thread that delivers: each batch would make the next one. So the
    lines of that thread stand in the file alone, and the test makes sure that there were some. Between threads there
    is no common order to compare: two handlers see two threads in either order.
    """
    config, file = tmp_path / "config.yml", tmp_path / "shop.log"
    config.write_text(yaml.safe_dump(settings(empty_database.dsn)), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        arguments = config, file, empty_database.dsn, listening.fileno()
        program = start("web_app.py", *arguments, options=("-X", "dev"), fds=(listening.fileno(),))
    answers = ask(port)
    program.finish()

    assert answers == {200: REQUESTS * 3 // 4, 500: REQUESTS // 4}
    lines, rows = entries_of(file), rows_of(empty_database)
    assert lines.keys() - rows.keys() == {thread for thread in lines if thread[1] == WORKER} != set()
    for thread in rows:
        assert [without_time(row) for row in rows[thread]] == [without_time(line) for line in lines[thread]], thread
        assert all(map(same_time, rows[thread], lines[thread]))
    assert len(rows) > CLIENTS
    everything = [entry for entries in rows.values() for entry in entries]
    assert {name for _, _, _, name, *_ in everything} >= EVERYBODY
    assert Counter(level for _, _, level, *_ in everything).keys() == {"TRACE", "DEBUG", "INFO", "WARNING", "ERROR"}


def settings(dsn: str) -> dict[str, Any]:
    """Everything at DEBUG, uvicorn at its own TRACE; psycopg sets itself to WARNING unless it is told otherwise."""
    components = {"psycopg": "DEBUG", "uvicorn.error": 5, "uvicorn.asgi": 5}
    return {
        "logging": {"level": "DEBUG", "components": components, "console": {"enabled": False}},
        "database": {"dsn": dsn},
    }


def ask(port: int) -> Counter[int]:
    """Send all requests from several threads, then the one that ends the program; returns the answers by status."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = Counter(clients.map(lambda number: status_of(port, PAGES[number % 4]), range(REQUESTS)))
    assert status_of(port, "/stop") == 200
    return answers


def status_of(port: int, page: str) -> int:
    """Send one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def entries_of(file: Path) -> dict[Thread, list[Entry]]:
    """The lines of the file by thread."""
    found: dict[Thread, list[Entry]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        thread, name, created, *rest = json.loads(line)
        found[thread, name].append((datetime.fromtimestamp(created, UTC), *rest))
    return found


def rows_of(database: Database) -> dict[Thread, list[Entry]]:
    """The rows of the table by thread, in the order of their arrival."""
    found: dict[Thread, list[Entry]] = defaultdict(list)
    with database.connect() as connection:
        for thread, name, *rest in connection.execute(ROWS):
            found[thread, name].append(tuple(rest))
    return found


def without_time(entry: Entry) -> Entry:
    """What has to be the same to the letter."""
    return entry[1:]


def same_time(one: Entry, other: Entry) -> bool:
    """The same to the microsecond, which the two may have rounded differently."""
    return bool(abs(one[0] - other[0]) <= timedelta(microseconds=1))

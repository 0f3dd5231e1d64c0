"""`dblog demo`, run as its users run it: in a process of its own, piped or on a terminal, with and without a server."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from eventually import eventually
from servers import Database

from dblog.binaries import find_binaries

DEMO = [sys.executable, "-m", "dblog", "demo"]
needs_binaries = pytest.mark.skipif(not find_binaries(), reason="NO SERVER BINARIES: the demo has nothing to start")


def demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        [*DEMO, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


def emitted_and_stored(output: str) -> tuple[int, int]:
    """The figures of the last line about the run."""
    found = re.search(r"([\d,]+) records emitted, ([\d,]+) stored, [\d,]+ records/s", output)
    assert found, output
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def rows(database: Database) -> int:
    """The rows in the table; 0 before there is one."""
    with database.connect() as connection, suppress(psycopg.errors.UndefinedTable):
        row = connection.execute("SELECT count(*) FROM dblog_logs").fetchone()
        return int(row[0]) if row else 0
    return 0


@pytest.fixture
def temporary_folder() -> Iterator[Path]:
    """Where a server of the demo puts its folder; other users can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_every_record_is_a_row(empty_database: Database, tmp_path: Path) -> None:
    """On an empty database the demo makes the tables, fills them, and counts the same as SQL does."""
    arguments = ["--seconds", "3600", "--rate", "1000", "--dsn", empty_database.dsn]
    with subprocess.Popen(
        [*DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        eventually(lambda: rows(empty_database) > 1500, "enough rows for some of every kind")
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    emitted, stored = emitted_and_stored(output)
    assert emitted == stored == rows(empty_database)
    assert "\x1b" not in output, "no colours in a pipe"
    with empty_database.connect() as connection:
        found = connection.execute(
            "SELECT count(DISTINCT level), count(DISTINCT logger_name), count(DISTINCT thread_name), count(exception),"
            " bool_or(message LIKE '%李小龍%'), bool_and(extra_data->>'card_token' = '***'), count(DISTINCT writer_id)"
            " FROM dblog_logs"
        ).fetchone()
    assert found is not None
    levels, loggers, threads, exceptions, unicode, masked, writers = found
    assert (loggers, threads, writers) == (4, 5, 1)
    assert levels >= 4
    assert exceptions > 0
    assert unicode
    assert masked


def test_it_can_be_run_again_where_others_have_logged(database: Database, tmp_path: Path) -> None:
    """Rows of other runs are not counted."""
    total = 0
    for _ in range(2):
        done = demo(tmp_path, "--seconds", "0.2", "--rate", "500", DBLOG_DSN=database.dsn)
        assert done.returncode == 0, done.stderr
        emitted, stored = emitted_and_stored(done.stdout)
        assert emitted == stored
        total += stored
    assert rows(database) == total


def test_as_fast_as_possible_nothing_is_lost(database: Database, tmp_path: Path) -> None:
    """Without a rate the callers wait for PostgreSQL rather than lose a record."""
    done = demo(tmp_path, "--seconds", "1", "--rate", "0", "--dsn", database.dsn)
    assert done.returncode == 0, done.stderr
    emitted, stored = emitted_and_stored(done.stdout)
    assert emitted == stored == rows(database)


def test_a_missing_row_is_noticed(database: Database, tmp_path: Path) -> None:
    """If the table loses a record that PostgreSQL took, the exit code is 1 and the number is named."""
    with database.connect() as connection:
        connection.execute("CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        connection.execute(
            "CREATE TRIGGER lose BEFORE INSERT ON dblog_logs FOR EACH ROW"
            " WHEN (NEW.logger_name = 'shop.worker') EXECUTE FUNCTION lose()"
        )
    done = demo(tmp_path, "--seconds", "0.2", "--rate", "0", "--dsn", database.dsn)
    emitted, stored = emitted_and_stored(done.stdout)
    assert done.returncode == 1
    assert 0 < stored < emitted
    assert done.stderr == (
        f"dblog: error: of {emitted:,} records {emitted - stored:,} are not in the table, 0 are too many\n"
    )


def test_ctrl_c_ends_it_early_and_in_order(empty_database: Database, tmp_path: Path) -> None:
    """After Ctrl-C what was logged until then is stored, counted and shown."""
    arguments = ["--seconds", "3600", "--rate", "500", "--dsn", empty_database.dsn]
    with subprocess.Popen([*DEMO, *arguments], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        eventually(lambda: rows(empty_database) > 0, "the first rows")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == 0
    assert "interrupted" in output
    emitted, stored = emitted_and_stored(output)
    assert emitted == stored == rows(empty_database)


def test_an_unreachable_server_is_one_line(tmp_path: Path) -> None:
    """A wrong address ends with one line that does not repeat the password."""
    done = demo(tmp_path, "--dsn", "postgresql://me:geheim@127.0.0.1:1/logs")
    assert done.returncode == 1
    assert done.stderr.startswith("dblog: error: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr + done.stdout


@needs_binaries
def test_without_a_server_it_brings_its_own(tmp_path: Path, temporary_folder: Path) -> None:
    """It starts a PostgreSQL, whatever config.yml the folder has, and leaves nothing of it behind."""
    (tmp_path / "config.yml").write_text("database:\n  host: production.invalid\n")
    done = demo(tmp_path, "--seconds", "0.5", TMPDIR=str(temporary_folder))
    assert done.returncode == 0, done.stderr
    emitted, stored = emitted_and_stored(done.stdout)
    assert emitted == stored > 0
    assert list(temporary_folder.iterdir()) == []


@needs_binaries
def test_keep_leaves_the_server_until_it_is_stopped(tmp_path: Path, temporary_folder: Path) -> None:
    """With --keep the printed commands work afterwards: one finds the records, the last one ends the server."""
    done = demo(tmp_path, "--seconds", "0.2", "--rate", "0", "--keep", TMPDIR=str(temporary_folder))
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    stop = lines[-1]
    assert re.fullmatch(r"kill -INT \d+", stop)
    try:
        query = next(line for line in lines if line.startswith("dblog query"))
        command = query.replace("dblog", f"'{sys.executable}' -m dblog", 1)
        found = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True)
        assert "CardDeclinedError" in found.stdout
    finally:
        subprocess.run(["/bin/sh", "-c", stop], check=True)
    eventually(lambda: not list(temporary_folder.iterdir()), "the server's folder goes")


def test_a_terminal_sees_the_progress(database: Database, tmp_path: Path) -> None:
    """Where standard error is a terminal, a bar with the figures so far is drawn on it."""
    reader, terminal = pty.openpty()
    arguments = ["--seconds", "3600", "--rate", "500", "--dsn", database.dsn]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*DEMO, *arguments], stdout=subprocess.DEVNULL, stderr=terminal, cwd=tmp_path, env=environment
    ) as process:
        os.close(terminal)
        drawn, figures = b"", None
        with suppress(OSError):  # Linux's way to say that the other side of a terminal was closed
            while part := os.read(reader, 10_000):
                drawn += part
                if figures is None and (figures := re.search(rb"[1-9]\d* emitted", drawn)):
                    process.send_signal(signal.SIGINT)
        os.close(reader)
    assert process.returncode == 0
    assert b"the shop is open" in drawn
    assert figures


@pytest.mark.parametrize("wrong", [("--rate", "-1"), ("--seconds", "0"), ("--rate", "fast")])
def test_wrong_numbers_are_named(wrong: tuple[str, str], tmp_path: Path) -> None:
    """A number that cannot be is refused with the option, before anything is started."""
    done = demo(tmp_path, *wrong)
    assert done.returncode == 2
    assert done.stderr.startswith("dblog: error: ")
    assert wrong[0] in done.stderr
    assert wrong[1] in done.stderr
    assert done.stdout == ""

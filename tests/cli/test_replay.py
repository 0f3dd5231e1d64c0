"""`dblog replay`: what writers that ended have left comes into the database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from delivered import messages
from eventually import eventually
from programs import IMPORTABLE, TIMEOUT
from psycopg import sql
from servers import Database, Server
from spooled import NOWHERE, batch_of, leave, open_spool, shop

from dblog.cli.main import run
from dblog.columns import COLUMN_NAMES
from dblog.location import target
from dblog.sinks import frames, inspection, survey
from dblog.writing.linequeue import LineQueue

WRITER = "0123456789abcdef" * 2


@contextmanager
def closed(database: Database, server: Server) -> Iterator[None]:
    """Have a database refuse connections."""
    change = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(change.format(sql.Identifier(database.name), sql.Literal(False)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
        try:
            yield
        finally:
            connection.execute(change.format(sql.Identifier(database.name), sql.Literal(True)))


def start(database: Database, directory: Path) -> "subprocess.Popen[str]":
    """Run a replay in a process of its own."""
    command = [sys.executable, "-m", "dblog", "replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    environment = {**os.environ, "PYTHONPATH": IMPORTABLE}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left(directory: Path) -> int:
    """The rows in a spool directory."""
    return sum(inspection.examine(file).rows for writer in survey.writers(directory) for file in writer.files)


def test_what_is_left_is_delivered_once(
    database: Database, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The batches of all dead writers come into the table, the second time there is nothing, and deaths are noted."""
    dead = [leave(directory, database.dsn, f"a{number}", f"b{number}") for number in range(3)]
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("6 rows delivered to ")
    assert all(f"writer {writer_id}" in err for writer_id in dead)
    found = messages(database.dsn)
    assert all(found[f"{letter}{number}"] == 1 for letter in "ab" for number in range(3))
    assert sum("ended without closing" in message for message in found) == 3
    assert run(arguments) == 0
    assert capsys.readouterr().out.startswith("nothing is left for ")
    assert messages(database.dsn) == found
    assert list(directory.iterdir()) == []


def test_a_batch_that_was_delivered_before_is_not_stored_again(database: Database, directory: Path) -> None:
    """A writer that died between the commit and the end of its file leaves no second copy."""
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    for _ in range(2):
        spool = open_spool(directory, database.dsn, WRITER)
        spool.append(batch_of(WRITER, 1, "once"))
        spool.abandon()
        assert run(arguments) == 0
    assert messages(database.dsn)["once"] == 1


def test_the_end_of_a_writer_is_told(database: Database, server: Server, directory: Path) -> None:
    """A closing frame without rows is delivered, too, so that the ledger knows of the orderly end."""
    spool = open_spool(directory, database.dsn, WRITER)
    spool.append(LineQueue(1024, writer_id=WRITER).closing_batch())
    spool.close()
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    with closed(database, server):
        assert run(arguments) == 1
    assert run(arguments) == 0
    with database.connect() as connection:
        assert (True,) in connection.execute(
            "SELECT closing FROM dblog_batches WHERE writer_id = %s", [WRITER]
        ).fetchall()


def test_living_writers_are_left_alone(database: Database, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a living writer holds is its own to deliver."""
    living = open_spool(directory, database.dsn, WRITER)
    living.append(batch_of(WRITER, 1, "mine"))
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("nothing is left for ")
    assert f"1 row in the hands of writer {WRITER}, which is alive" in err
    assert left(directory) == 1
    living.abandon()


def test_a_killed_program_and_its_journal_are_delivered(database: Database, directory: Path) -> None:
    """What a process had in its journal when it was killed comes into the table, each record once."""
    with shop(directory, database.dsn, durability="journal") as running:
        running.log(*map(str, range(50)))
        running.kill()
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 0
    found = messages(database.dsn)
    assert [found[str(number)] for number in range(50)] == [1] * 50


def test_with_the_database_away_all_of_it_stays(
    database: Database, server: Server, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a database one line says how much is left and why, the exit code is 1, and the next replay has it."""
    leave(directory, database.dsn, "one")
    leave(directory, database.dsn, "two")
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    with closed(database, server):
        assert run(arguments) == 1
        assert "dblog: error: 3 rows left for " in capsys.readouterr().err
    assert run(arguments) == 0
    found = messages(database.dsn)
    assert (found["one"], found["two"]) == (1, 1)


def test_a_time_limit_leaves_the_rest(database: Database, directory: Path) -> None:
    """After `--timeout` nothing more is begun; what is left is counted."""
    leave(directory, database.dsn, *(f"m{number}" for number in range(5)))
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    assert run([*arguments, "--timeout", "0.001"]) == 1
    assert left(directory) > 0
    assert run(arguments) == 0
    found = messages(database.dsn)
    assert [found[f"m{number}"] for number in range(5)] == [1] * 5


def test_after_ctrl_c_the_rest_stays(database: Database, directory: Path) -> None:
    """An interrupted replay ends with 130 and says what stays; the next one delivers it, nothing comes twice."""
    leave(directory, database.dsn, *(f"m{number}" for number in range(20)))
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE dblog_batches")
        process = start(database, directory)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'dblog_batches'::regclass"
        eventually(lambda: connection.execute(waits).fetchone() != (0,), "a replay that waits for the table")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "interrupted; in the spool stay 20 rows" in process.stderr.readline()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 0
    found = messages(database.dsn)
    assert [found[f"m{number}"] for number in range(20)] == [1] * 20


def test_replays_at_the_same_time_share_the_work(database: Database, directory: Path) -> None:
    """However many replays there are, each row comes into the table once."""
    for writer in range(6):
        leave(directory, database.dsn, *(f"{writer}-{number}" for number in range(5)))
    replays = [start(database, directory) for _ in range(3)]
    for each in replays:
        each.communicate(timeout=TIMEOUT)
    run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)])  # what one saw in the hands of another
    found = messages(database.dsn)
    assert [found[f"{writer}-{number}"] for writer in range(6) for number in range(5)] == [1] * 30


@pytest.mark.torture
def test_killed_replays_store_each_row_once(database: Database, directory: Path) -> None:
    """A replay that is killed at any point leaves what it had not delivered, and no row comes twice."""
    texts = [f"{writer}-{number}" for writer in range(20) for number in range(50)]
    for first in range(0, len(texts), 50):
        leave(directory, database.dsn, *texts[first : first + 50])
    for pause in range(30):
        with start(database, directory) as process:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=0.5 + pause / 50)
            process.kill()
    run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)])
    found = messages(database.dsn)
    assert [text for text in texts if found[text] != 1] == []


def test_what_is_for_another_database_is_left(database: Database, directory: Path) -> None:
    """Rows for another target, and directories that are no writer's, are left where they are."""
    leave(directory, NOWHERE, "elsewhere")
    leave(directory, database.dsn, "here")
    (directory / "notes").mkdir()
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 0
    assert messages(database.dsn)["here"] == 1
    assert left(directory) == 1
    assert (directory / "notes").is_dir()


def test_rows_of_another_release(database: Database, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows without a column that this release has are delivered; those with an unknown one are left, with a line."""
    fewer = tuple(name for name in COLUMN_NAMES if name != "span_id")
    for writer_id, columns in (("a" * 32, fewer), ("b" * 32, (*fewer, "colour"))):
        header = frames.make_header(target(database.dsn, None, "dblog"), columns)
        values = {"writer_id": writer_id, "batch_seq": "1", "level_no": "20", "level": "INFO", "hostname": "web-1"}
        values |= {"timestamp": "2026-11-21 10:00:00.000001+00", "logger_name": "shop", "message": writer_id[0]}
        payload = ("\t".join(values.get(name, "\\N") for name in columns) + "\n").encode()
        batch = replace(batch_of(writer_id, 1, "m"), payload=payload, columns=columns)
        (directory / writer_id).mkdir()
        (directory / writer_id / "00000001.seg").write_bytes(header.line + frames.encode(batch, header))
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 1
    assert messages(database.dsn)["a"] == 1
    err = capsys.readouterr().err
    assert "colour" in err
    assert "dblog: error: 1 row left for " in err


def test_wrong_arguments(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is none, and a time that is none, are usage errors."""
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(tmp_path / "missing")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert run(["replay", "--dsn", database.dsn, "--timeout", "nan"]) == 2

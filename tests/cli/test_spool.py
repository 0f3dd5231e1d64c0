"""`dblog spool`: what waits on the disk, listed, printed and checked."""

import json
import os
import pty
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest
from eventually import eventually
from programs import IMPORTABLE
from psycopg import sql
from psycopg.rows import dict_row
from servers import Database
from spooled import NOWHERE, Shop, SpoolCommand, batch_of, leave, open_spool, shop, write_segment

from dblog.batch import Rejected
from dblog.cli.writers import HEADS
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames

WRITER = "0123456789abcdef" * 2


def test_each_file_is_listed_with_its_figures(directory: Path, spool: SpoolCommand) -> None:
    """`ls` has frames, rows by level, size, times and target of every file, alive or dead."""
    dead = leave(directory, NOWHERE, "one", "two")
    living = open_spool(directory, NOWHERE, WRITER)
    living.append(batch_of(WRITER, 1, "three", level=40))
    found = {each["writer_id"]: each for each in spool.listed()}
    assert (found[dead]["alive"], found[WRITER]["alive"]) == (False, True)
    assert (found[dead]["frames"], found[dead]["rows"], found[dead]["levels"]) == (2, 2, {"20": 2})
    assert found[WRITER]["levels"] == {"40": 1}
    assert found[dead]["bytes"] == Path(found[dead]["path"]).stat().st_size
    assert found[dead]["oldest"] <= found[dead]["newest"] <= found[WRITER]["newest"]
    assert (found[dead]["format"], found[dead]["columns"]) == (frames.FORMAT, None)
    code, out, _ = spool("ls")
    assert code == 0
    assert f"writer {dead}: ended" in out
    assert "1 ERROR" in out
    living.abandon()


def test_a_narrow_terminal_breaks_no_word(directory: Path) -> None:
    """With 80 columns the names, numbers and times of `spool ls` and `rejected ls` stay in one piece."""
    leave(directory, NOWHERE, "one", level=40)
    spool = open_spool(directory, NOWHERE, WRITER)
    batch = batch_of(WRITER, 1, "a long message " * 10)
    spool.set_aside(
        batch, [Rejected(batch.payload, "a constraint refused a row (SQLSTATE 23514): constraint positive")]
    )
    spool.confirm(batch.key)
    spool.close()
    spool_lines = on_terminal("spool", "ls", "--spool-dir", str(directory))
    (segment,) = (line.split() for line in spool_lines if "00000001.seg" in line)
    assert segment[:4] == ["00000001.seg", "1", "1", "ERROR"]
    assert len(" ".join(segment[-2:])) == len("2026-11-21 10:00:00")
    with shop(directory, NOWHERE) as running:
        running.log("one")
        eventually(
            lambda: "circuit open" in "".join(on_terminal("writers", "--spool-dir", str(directory))), "an outage"
        )
        table = on_terminal("writers", "--spool-dir", str(directory))
    assert [line.split() for line in table if "state" in line] == [list(HEADS)] * 2  # one has told of no database
    rejected_lines = on_terminal("rejected", "ls", "--spool-dir", str(directory))
    assert f"{batch.key.birth_day}-{WRITER}-1" in rejected_lines
    assert max(map(len, spool_lines + rejected_lines)) <= 80


def on_terminal(*arguments: str) -> list[str]:
    """Run a command on a terminal of 80 columns; returns the lines that it shows."""
    ours, theirs = pty.openpty()
    environment = {"PYTHONPATH": IMPORTABLE, "COLUMNS": "80", "TERM": "dumb"}
    command = [sys.executable, "-m", "dblog", *arguments]
    try:
        subprocess.run(command, env=environment, stdout=theirs, check=False)
        return [line.rstrip() for line in os.read(ours, 65_536).decode().splitlines()]
    finally:
        os.close(ours)
        os.close(theirs)


def test_nothing_waits(spool: SpoolCommand, directory: Path) -> None:
    """An empty spool is said so, and is whole."""
    assert spool("ls") == (0, f"nothing waits in {directory}\n", "")
    assert spool("cat") == (0, "", "")
    assert spool("verify")[0] == 0


def test_rows_are_printed_as_query_prints_records(directory: Path, spool: SpoolCommand) -> None:
    """`cat` prints a line a row, with its extras, and no control character that a message had."""
    leave(directory, NOWHERE, "first\nsecond \x1b[31m", "back\\slash\tand tab")
    code, out, err = spool("cat", "--utc")
    assert (code, err) == (0, "")
    first, second, third = out.splitlines()
    assert first.endswith("shop: first order=7")
    assert second == "    second \\x1b[31m"
    assert third.endswith("shop: back\\slash\tand tab order=7")


def test_copy_is_what_copy_reads(database: Database, directory: Path, spool: SpoolCommand) -> None:
    """The lines of `--copy` go into the table with a real COPY, and are the rows that `--jsonl` shows."""
    messages = ["plain", "tab\tand\nbreak", "back\\slash \\N", "\x1e", "größe"]
    leave(directory, NOWHERE, *messages)
    code, copied, note = spool("cat", "--copy")
    assert (code, note) == (0, f"dblog: note: the columns are ({', '.join(COLUMN_NAMES)})\n")
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMN_NAMES))
    with database.connect() as connection:
        with connection.cursor().copy(sql.SQL("COPY dblog_logs ({}) FROM STDIN").format(columns)) as copy:
            copy.write(copied)
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute("SELECT * FROM dblog_logs ORDER BY id").fetchall()
    assert [row["message"] for row in rows] == messages
    _, out, _ = spool("cat", "--jsonl", "--utc")
    for row, shown in zip(rows, map(json.loads, out.splitlines()), strict=True):
        moment = datetime.fromisoformat(shown["timestamp"])
        stored = {name: row[name] for name in COLUMN_NAMES} | {"writer_id": row["writer_id"].hex}
        assert shown | {"timestamp": moment} == stored


def test_files_and_writers_can_be_chosen(directory: Path, spool: SpoolCommand) -> None:
    """A path, a directory or the beginning of a UUID chooses; what is none of them is a usage error."""
    first, second = leave(directory, NOWHERE, "one"), leave(directory, NOWHERE, "two")
    assert sorted(spool.messages()) == ["one", "two"]
    assert spool.messages(first) == spool.messages(first[:12]) == ["one"]
    assert spool.messages(str(directory / second)) == ["two"]
    assert spool.messages(str(directory / second / "00000001.seg"), first) == ["two", "one"]
    code, out, err = spool("cat", "nothing")
    assert (code, out) == (2, "")
    assert "'nothing' is no file, nor the directory or the UUID of a writer" in err
    assert "'' stands for several writers" in spool("cat", "")[2]
    assert "--jsonl and --copy exclude each other" in spool("cat", "--copy", "--jsonl")[2]


def test_open_rows_of_a_living_journal_are_shown(directory: Path, spool: SpoolCommand) -> None:
    """Rows that belong to no batch yet are listed and printed while their writer lives, and are no damage."""
    with shop(directory, NOWHERE, durability="journal") as running:
        running.log("one", "two")
        eventually(lambda: any(each["kind"] == "journal" for each in spool.listed()), "a journal")
        running.log("three")
        assert {"one", "two", "three"} <= set(spool.messages())
        assert sum(each["rows"] for each in spool.listed() if each["kind"] == "journal") >= 1
        assert spool("verify")[0] == 0
        running.kill()
    assert {"one", "two", "three"} <= set(spool.messages())
    assert spool("verify")[0] == 0


@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_a_busy_writer_is_never_taken_for_damage(durability: str, directory: Path, spool: SpoolCommand) -> None:
    """While a process writes without pause, every look finds whole files."""
    stop = threading.Event()

    def keep_logging(running: Shop) -> None:
        while not stop.is_set():
            running.log("busy")

    with shop(directory, NOWHERE, durability=durability) as running:
        thread = threading.Thread(target=keep_logging, args=[running])
        thread.start()
        try:
            eventually(lambda: any(each["rows"] for each in spool.listed()), "rows on the disk")
            assert [spool("verify")[0] for _ in range(20)] == [0] * 20
        finally:
            stop.set()
            thread.join()


def peak_memory(directory: Path, *arguments: str) -> int:
    """Run the command in a process of its own; returns the most memory that it had, in KiB."""
    code = (
        "import resource, sys; from dblog.cli.main import run; code = run(sys.argv[1:]);"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "spool", *arguments, "--spool-dir", str(directory)],
        env={"PYTHONPATH": IMPORTABLE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stderr.splitlines()[-1])


def test_memory_is_bounded_by_a_frame(directory: Path, tmp_path: Path) -> None:
    """A spool of 60 MB takes no more memory than an empty one and a few frames of 2 MB."""
    (tmp_path / "empty").mkdir()
    batch = batch_of(WRITER, 1, *(["x" * 60_000] * 33))
    write_segment(directory / WRITER / "00000001.seg", *(batch for _ in range(30)))
    baseline = peak_memory(tmp_path / "empty", "verify")
    for arguments in (("cat", "--copy"), ("verify",)):
        assert peak_memory(directory, *arguments) < baseline + 20_000


def test_a_reader_that_goes_away_ends_it_quietly(directory: Path) -> None:
    """`dblog spool cat --copy | head -1` is no trouble."""
    leave(directory, NOWHERE, *("x" * 50_000 for _ in range(20)))
    command = [sys.executable, "-m", "dblog", "spool", "cat", "--copy", "--spool-dir", str(directory)]
    environment = {"PYTHONPATH": IMPORTABLE}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141

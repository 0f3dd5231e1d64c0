"""The table of `dblog verify`: one line for each writer, also where there is little room."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from uuid import UUID

import pytest
from records import insert
from servers import Database

from dblog.batch import derived_writer
from dblog.cli.main import run


@pytest.fixture
def writer(database: Database) -> UUID:
    """A writer that has delivered two batches."""
    with database.connect() as connection:
        found = insert(connection, {}, {}, {})
        return insert(connection, {}, {"message": "last"}, writer=found, seq=2)


def execute(database: Database, statement: str) -> None:
    """Change something by hand."""
    with database.connect() as connection:
        connection.execute(statement.encode())


def in_terminal(columns: int, *arguments: str) -> str:
    """What the command prints to a terminal of so many columns."""
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with os.fdopen(main, "rb", buffering=0) as terminal:
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"NO_COLOR": "1"}
        program = subprocess.Popen([sys.executable, "-m", "dblog", *arguments], stdin=side, stdout=side, env=env)
        os.close(side)
        shown = b""
        with suppress(OSError):  # how Linux says that nobody has the other end open
            while part := terminal.read(4096):
                shown += part
        program.wait()
    return shown.decode()


def test_rows_sent_again_have_one_line(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """The derived writers are one line of the table, and refused rows that they brought are not shown as refused."""
    execute(database, "UPDATE dblog_batches SET rows_rejected = 3 - batch_seq")  # 2 of the first batch, 1 of the second
    with database.connect() as connection:
        senders = [derived_writer(writer, 1), derived_writer(writer, 2)]
        insert(connection, {}, {}, writer=senders[0])
        insert(connection, {}, writer=senders[1])
    assert run(["verify", "--dsn", database.dsn]) == 0
    out = capsys.readouterr().out
    assert out.count("rows sent again") == 1
    assert not any(str(sender)[:8] in out for sender in senders)
    assert "refused" not in out
    assert out.splitlines()[-1].startswith("proven: writers 1, batches 4, rows 8; ")


def test_a_narrow_terminal_breaks_no_word(database: Database, writer: UUID) -> None:
    """At 80 columns a table with something in every column leaves some of them out, and each writer has one line."""
    with database.connect() as connection:
        insert(connection, {}, writer=writer, seq=4)
        losses = {"event": "losses", "writer_id": writer.hex, "dropped": {"10": 12345}, "printed": {"20": 12345}}
        insert(connection, {"logger_name": "dblog", "extra_data": losses})
        insert(connection, {}, writer=derived_writer(writer, 1))
    execute(
        database, "UPDATE dblog_batches SET service = 'shop-frontend', hostname = 'web-1.example', accepted = 54321"
    )
    execute(database, "DELETE FROM dblog_logs WHERE message = 'last'")
    shown = in_terminal(80, "verify", "--utc", "--dsn", database.dsn).splitlines()
    head = next(line for line in shown if "writer" in line)
    assert "batches" in head
    assert all(len(line) <= 80 for line in shown if not line.startswith(("writer ", "proven", "not proven")))
    assert sum(line.lstrip().startswith(str(writer)[:8]) for line in shown) == 1
    assert any("shop-frontend" in line for line in shown)
    assert [line for line in shown[shown.index(head) + 2 :] if line][2].lstrip().startswith("rows sent again")


@pytest.mark.parametrize("columns", [40, 80])
def test_the_help_fits_into_80_columns(columns: int) -> None:
    """No line of `--help` is longer, however narrow the terminal is."""
    assert max(map(len, in_terminal(columns, "verify", "--help").splitlines())) < 80

"""Mistakes of the operator, and records that nothing takes: one clear line, and every record accounted for."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from delivered import log, messages, migrate
from eventually import eventually
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database
from stderr import said_so_far

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may log in with the password `hunter2` and nothing else."""
    name = f"role_{os.getpid()}_{database.name}"
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'hunter2'").format(sql.Identifier(name)))
    yield name
    with database.connect() as owner:
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"password": "wrong-secret"}, "the server refused the connection after the password was sent"),
        ({"dbname": "no_such_database"}, "the server refused the connection after the password was sent"),
        ({"port": "1"}, "no connection to the server"),
    ],
    ids=["password", "database", "port"],
)
def test_what_is_wrong_is_said_in_one_line(
    database: Database,
    role: str,
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
    change: dict[str, str],
    line: str,
) -> None:
    """A wrong password, database or port is one clear line without the password, whatever the number of tries."""
    parameters = {"user": role, "password": "hunter2", **change}
    handler = make_handler(make_conninfo(database.dsn, **parameters))
    logger = attach(handler)
    logger.error("waits")
    eventually(lambda: handler.stats().failures >= 3, "three tries")
    assert line in (handler.stats().last_error or "")
    said = said_so_far(capfd)
    assert said.count("\n") == 1
    assert line in said
    assert "hunter2" not in said
    assert "secret" not in said
    handler.close(0.1)
    assert handler.stats().printed == {40: 1}
    assert_conserved(handler)


def test_missing_tables_are_named_until_they_are_there(
    empty_database: Database, make_handler: MakeHandler, attach: Attach, capfd: pytest.CaptureFixture[str]
) -> None:
    """With `auto_create` off the operator is told to run `dblog init`; afterwards everything is stored."""
    handler = make_handler(empty_database.dsn, auto_create=False)
    attach(handler).error("waits")
    eventually(lambda: handler.stats().failures >= 2, "two tries")
    assert "`dblog init`" in said_so_far(capfd)
    migrate(empty_database.dsn)
    assert handler.flush(30)
    assert messages(empty_database.dsn) == Counter(["waits"])


def test_a_refused_record_is_printed_and_the_others_stored(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One bad row among 500 goes to stderr with the reason and is counted; 499 are in the table."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CHECK (message <> '250')")
    handler = make_handler(database.dsn, console_level=0)  # also where the console has it: it will not be in the table
    expected = log(attach(handler), 0, 500)
    assert handler.flush(30)
    assert messages(database.dsn) == expected - Counter(["250"])
    assert handler.stats().rejected == {20: 1}
    assert_conserved(handler)
    said = said_so_far(capfd).splitlines()
    assert len(said) == 1
    assert said[0].startswith("dblog: refused, a constraint refused a row (SQLSTATE 23514): ")
    assert said[0].endswith(" 250")


def test_a_spool_that_cannot_be_written_falls_back_to_stderr(
    make_handler: MakeHandler,
    attach: Attach,
    tmp_path: Path,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Where neither database nor spool take records they are printed, and the spool's trouble is announced."""
    (tmp_path / "file").write_text("not a folder")
    handler = make_handler("host=127.0.0.1 port=1", spool_dir=tmp_path / "file")
    log(attach(handler), 0, 5)
    handler.close(0.2)
    assert handler.stats().printed == {20: 5}
    assert_conserved(handler)
    said = capfd.readouterr().err
    assert f"the spool {tmp_path / 'file'} has no folder to work in" in said
    assert said.count("not stored") == 5

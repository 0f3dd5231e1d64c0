"""What the roles of an installation may do, and what each must not: by roles that really log in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from batches import batch, sink
from eventually import eventually
from logins import Installation, installation, make_members
from psycopg import sql
from servers import Databases

from dblog import DatabaseLogHandler
from dblog.batch import Rejected
from dblog.cli.main import run


@pytest.fixture(scope="module")
def installed(databases: Databases) -> Iterator[Installation]:
    """Tables with their roles and their members, for all tests of this module."""
    with installation(databases) as found:
        found.set_up()
        make_members(found)
        yield found


@pytest.fixture
def command_line(installed: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The same, where the variables tell the command line about the tables."""
    monkeypatch.setenv("DBLOG_DATABASE__SCHEMA", installed.names.schema)
    monkeypatch.setenv("DBLOG_DATABASE__TABLE_PREFIX", installed.names.prefix)
    monkeypatch.setenv("DBLOG_DATABASE__PARTITIONS_AHEAD", "2")
    return installed


def handler(installed: Installation, spool: Path) -> DatabaseLogHandler:
    """A handler of an application that logs in as a writer."""
    names = installed.names
    return DatabaseLogHandler(
        installed.login("writer"), schema=names.schema, table_prefix=names.prefix, spool_dir=spool, flush_interval=0.05
    )


def rows(installed: Installation, message: str) -> int:
    """How many rows have a message."""
    with installed.database.connect() as owner:
        found = owner.execute(
            f"SELECT count(*) FROM {installed.places()['logs']} WHERE message = %s".encode(), [message]
        ).fetchone()
        return int(found[0]) if found else 0


def record(message: str, age: timedelta = timedelta()) -> logging.LogRecord:
    """A record of a moment in the past."""
    created = (datetime.now(UTC) - age).timestamp()
    return logging.makeLogRecord({"msg": message, "created": created, "levelno": 20, "levelname": "INFO"})


@contextmanager
def kept_out(installed: Installation) -> Iterator[None]:
    """The writer cannot log in meanwhile."""
    member = sql.Identifier(installed.member("writer"))
    with installed.database.connect() as owner:
        owner.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(member))
        try:
            yield
        finally:
            owner.execute(sql.SQL("ALTER ROLE {} LOGIN").format(member))


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_who_may_not_keep_the_tables_is_told_whose_they_are(
    command_line: Installation, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the owner may do is refused to others in a line that names the owner, whatever it is."""
    for command in (["prune"], ["init", "--partition-by", "week"]):
        assert run([*command, "--dsn", command_line.login(kind)]) == 1
        error = capsys.readouterr().err
        owner, role = command_line.roles.owner, command_line.member(kind)
        assert f"{role} has no right to this; the tables {command_line.names.prefix}_* belong to {owner}" in error
        assert error.count("\n") == 1


def test_an_application_works_as_a_writer(installed: Installation, tmp_path: Path) -> None:
    """A handler with `auto_create` stores its records, also those for which it has to make a partition first."""
    writing = handler(installed, tmp_path)
    writing.handle(record("now"))
    writing.handle(record("long ago", timedelta(days=200)))
    writing.close()
    assert writing.stats().stored == {20: 2}
    assert rows(installed, "now") == rows(installed, "long ago") == 1


def test_the_spool_is_replayed_as_a_writer(installed: Installation, tmp_path: Path) -> None:
    """What waited while the writer could not log in is delivered by the next one."""
    with kept_out(installed):
        waiting = handler(installed, tmp_path)
        waiting.handle(record("waited"))
        waiting.close()
        assert waiting.stats().spooled == {20: 1}
    taking = handler(installed, tmp_path)
    taking.handle(record("later"))
    eventually(lambda: rows(installed, "waited") == 1, "the row to be delivered")
    taking.close()


def test_a_writer_knows_how_much_of_a_batch_was_stored(installed: Installation) -> None:
    """A batch that comes again, longer, is compared with the ledger: its further rows are set aside, not believed."""
    tables = {"schema": installed.names.schema, "table_prefix": installed.names.prefix}
    target, now = sink(installed.login("writer"), **tables), datetime.now(UTC)  # the doctor minds what is ahead of it
    rejected: list[Rejected] = []
    assert target.store(batch(1, "first", moment=now), rejected, lambda *_: None)
    assert not target.store(batch(1, "first", "second", moment=now), rejected, lambda *_: None)
    assert len(rejected) == 1
    target.keep_ahead()
    target.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {logs}",
        "SELECT hostname FROM {batches}",
        "COPY {logs} TO STDOUT",
        "DELETE FROM {logs}",
        "UPDATE {logs} SET message = ''",
        "UPDATE {batches} SET rows_stored = 0",
        "TRUNCATE {logs}",
        "DROP TABLE {logs}",
        "ALTER TABLE {logs} ADD x integer",
        "ALTER TABLE {logs} DISABLE TRIGGER ALL",
        "CREATE INDEX ON {logs} (message)",
        "BEGIN; LOCK TABLE {logs} IN ACCESS EXCLUSIVE MODE",
        "INSERT INTO {settings} VALUES ('x', 'y')",
        "UPDATE {settings} SET value = 'hour'",
        "UPDATE {version} SET version_num = '9999'",
        "CREATE TABLE {schema}.mine (x integer)",
        "CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION {function}(timestamptz)",
        "ALTER FUNCTION {function}(timestamptz) RESET search_path",
        "SET ROLE {owner}",
        "GRANT {writer} TO {reader}",
    ],
)
def test_a_writer_can_do_nothing_else(installed: Installation, statement: str) -> None:
    """A writer reads no record, changes, drops and creates nothing, and becomes nobody else."""
    refused(installed, "writer", statement)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "1970-01-01", "9999-12-31", "now() + '33 days'", "NULL"])
def test_a_writer_cannot_have_absurd_partitions_made(installed: Installation, moment: str) -> None:
    """The function refuses every moment that is further away than a record may be."""
    argument = moment if moment.startswith(("now", "NULL")) else f"'{moment}'"
    with installed.as_member("writer") as writer, pytest.raises(psycopg.errors.DatetimeFieldOverflow):
        writer.execute(f"SELECT {installed.places()['function']}({argument})".encode())


def test_what_the_caller_puts_before_the_catalogue_does_not_fool_the_function(installed: Installation) -> None:
    """The function acts with the owner's rights, so it looks into the real catalogue, not into its caller's tables."""
    with installed.as_member("writer") as writer:
        writer.execute("CREATE TEMPORARY TABLE pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WITH NO DATA")
        writer.execute(
            "CREATE FUNCTION pg_temp.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$"
        )
        writer.execute("SET search_path = pg_temp, pg_catalog")
        made = writer.execute(f"SELECT {installed.places()['function']}('now')".encode()).fetchall()
        today = writer.execute("SELECT to_char(now() AT TIME ZONE 'UTC', '\"_logs_p\"YYYYMMDD')").fetchall()
    assert made[0][0] == installed.names.prefix + today[0][0]


@pytest.mark.parametrize("words", [["query", "-n", "5"], ["tail"], ["stats"], ["verify"], ["doctor"]])
def test_the_reading_commands_work_as_a_reader(
    command_line: Installation, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may read can run every command that reads."""
    assert run(["prune", "--dsn", command_line.login("owner")]) == 0  # or the doctor misses it
    code = run([*words, "--dsn", command_line.login("reader")])
    assert code == 0, capsys.readouterr()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {logs} (message) VALUES ('x')",
        "INSERT INTO {settings} VALUES ('x', 'y')",
        "UPDATE {logs} SET message = ''",
        "DELETE FROM {logs}",
        "TRUNCATE {batches}",
        "SELECT {function}(now())",
        "DROP TABLE {logs}",
        "CREATE TABLE {schema}.mine (x integer)",
        "SET ROLE {writer}",
    ],
)
def test_a_reader_only_reads(installed: Installation, statement: str) -> None:
    """A reader sees rows, ledger, settings and revision, and changes nothing."""
    with installed.as_member("reader") as reader:
        for table in ("logs", "batches", "settings", "version"):
            reader.execute(f"SELECT * FROM {installed.places()[table]}".encode())
    refused(installed, "reader", statement)


@pytest.mark.parametrize("statement", ["SELECT * FROM {logs}", "SELECT * FROM {settings}", "SELECT {function}(now())"])
def test_others_may_nothing(installed: Installation, statement: str) -> None:
    """A role of the same server that is no member gets nothing from the schema."""
    refused(installed, "stranger", statement)


@pytest.mark.parametrize("words", [["init"], ["prune"], ["doctor"], ["init", "--partition-by", "day"]])
def test_the_keeping_commands_work_as_the_owner(
    command_line: Installation, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A member of the owner keeps the tables, partitions that the function made included."""
    with command_line.database.connect() as owner:
        made = owner.execute(f"SELECT {command_line.places()['function']}(now() - interval '390 days')".encode())
        name = sql.Identifier(command_line.names.schema, str(made.fetchall()[0][0]))
        code = run([*words, "--dsn", command_line.login("owner")])
        owner.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))  # doctor warns of it, whoever asks
    assert code <= (words == ["doctor"]), capsys.readouterr()


def refused(installed: Installation, kind: str, statement: str) -> None:
    """Expect that a role lacks the right to run a statement."""
    places = installed.places() | {"owner": installed.roles.owner, "writer": installed.roles.writer}
    text = statement.format(**places, reader=installed.roles.reader)
    with installed.as_member(kind) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(text.encode())

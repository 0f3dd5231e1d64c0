"""The rights that the roles of an installation need, and nothing more."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from servers import Database

from dblog.store import migrate
from dblog.store.names import Names

SCHEMA = "Log Schema"
ROW = {
    "writer_id": "11111111-1111-4111-8111-111111111111",
    "batch_seq": 1,
    "timestamp": "now",
    "level_no": 20,
    "level": "INFO",
    "logger_name": "app",
    "hostname": "host",
    "message": "text",
}
BATCH = {
    "birth_day": "today",
    "writer_id": ROW["writer_id"],
    "batch_seq": 1,
    "rows_stored": 1,
    "rows_rejected": 0,
    "accepted": 1,
    "closing": False,
    "hostname": "host",
    "process_id": 1,
}
NAMES = Names(SCHEMA, "dblog")


@contextmanager
def role(database: Database, *grants: str) -> Iterator[psycopg.Connection]:
    """A session of a fresh role with these rights; `{logs}`, `{batches}`, `{function}`, `{schema}` may be used."""
    name = sql.Identifier(f"{database.name}_role")
    places = {
        "logs": sql.Identifier(SCHEMA, NAMES.logs),
        "batches": sql.Identifier(SCHEMA, NAMES.batches),
        "function": sql.Identifier(SCHEMA, NAMES.make_partition),
        "schema": sql.Identifier(SCHEMA),
        "role": name,
    }
    with database.connect() as owner:
        prepare(owner)
        owner.execute(sql.SQL("CREATE ROLE {}").format(name))
        try:
            for grant in grants:
                owner.execute(sql.SQL(grant + " TO {role}").format(**places))
            with database.connect() as connection:
                connection.execute(sql.SQL("SET ROLE {}").format(name))
                yield connection
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=name))


@pytest.fixture
def writer(empty_database: Database) -> Iterator[psycopg.Connection]:
    """A session of a role with the writer's rights."""
    with role(
        empty_database,
        "GRANT USAGE ON SCHEMA {schema}",
        "GRANT INSERT ON {logs}, {batches}",
        "GRANT EXECUTE ON FUNCTION {function}(timestamptz)",
    ) as connection:
        yield connection


@pytest.fixture
def reader(empty_database: Database) -> Iterator[psycopg.Connection]:
    """A session of a role with the reader's rights."""
    with role(empty_database, "GRANT USAGE ON SCHEMA {schema}", "GRANT SELECT ON {logs}, {batches}") as connection:
        yield connection


def prepare(connection: psycopg.Connection, ahead: int = 1) -> None:
    """What an application's worker does at its first connection."""
    migrate.prepare(
        connection,
        schema=SCHEMA,
        table_prefix="dblog",
        partition_by="day",
        indexes="standard",
        partitions_ahead=ahead,
    )


def insert(connection: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    """Insert one row through the parent table."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(SCHEMA, table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder(name) for name in row),
    )
    connection.execute(statement, row)


def test_a_writer_can_write(writer: psycopg.Connection) -> None:
    """INSERT on two tables is enough for rows and ledger, also by COPY."""
    insert(writer, NAMES.logs, ROW)
    insert(writer, NAMES.batches, BATCH)
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(SCHEMA, NAMES.logs), sql.SQL(", ").join(map(sql.Identifier, ROW))
    )
    with writer.cursor() as cursor:
        with cursor.copy(copy) as lines:
            lines.write_row(list(ROW.values()))
        assert cursor.rowcount == 1


def test_a_writer_makes_partitions_on_demand(writer: psycopg.Connection) -> None:
    """A row for which there is no partition gets one through the function, which acts as the owner of the tables."""
    old = {**ROW, "timestamp": "yesterday"}
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(writer, NAMES.logs, old)
    writer.execute(f"SELECT {NAMES.qualified(NAMES.make_partition)}('yesterday')".encode())
    insert(writer, NAMES.logs, old)


def test_a_writer_may_prepare_what_is_there(writer: psycopg.Connection) -> None:
    """An application that runs as the writer starts with `auto_create`, finds all, and makes partitions ahead."""
    prepare(writer, ahead=5)
    count = writer.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(%s)", [NAMES.qualified(NAMES.logs)]
    ).fetchone()
    assert count == (6,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {logs}",
        "SELECT * FROM {batches}",
        "DELETE FROM {logs}",
        "UPDATE {batches} SET rows_stored = 0",
        "TRUNCATE {logs}",
        "DROP TABLE {logs}",
        "ALTER TABLE {logs} ADD x integer",
        "UPDATE {settings} SET value = 'hour'",
        "CREATE TABLE {schema}.mine (x integer)",
        "DROP FUNCTION {function}(timestamptz)",
    ],
)
def test_a_writer_can_do_nothing_else(writer: psycopg.Connection, statement: str) -> None:
    """A writer reads, changes, drops and creates nothing."""
    refused(writer, statement)


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO {settings} VALUES ('x', 'y')", "DELETE FROM {logs}", "SELECT {function}(now())", "DROP TABLE {logs}"],
)
def test_a_reader_only_reads(reader: psycopg.Connection, statement: str) -> None:
    """A reader sees rows, ledger, settings and revision, and changes nothing."""
    for name in (NAMES.logs, NAMES.batches, NAMES.settings, NAMES.version_table):
        reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, name)))
    refused(reader, statement)


def refused(connection: psycopg.Connection, statement: str) -> None:
    """Expect that the role lacks the right to run a statement."""
    names = {
        "logs": NAMES.qualified(NAMES.logs),
        "batches": NAMES.qualified(NAMES.batches),
        "settings": NAMES.qualified(NAMES.settings),
        "function": NAMES.qualified(NAMES.make_partition),
        "schema": f'"{SCHEMA}"',
    }
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.format(**names).encode())


def test_what_the_caller_puts_before_the_catalogue_does_not_fool_the_function(writer: psycopg.Connection) -> None:
    """The function acts with the owner's rights, so it looks into the real catalogue, not into its caller's tables."""
    writer.execute("CREATE TEMPORARY TABLE pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WITH NO DATA")
    writer.execute("SET search_path = pg_temp, pg_catalog")
    made = writer.execute(f"SELECT {NAMES.qualified(NAMES.make_partition)}('now')".encode()).fetchall()
    today = writer.execute("SELECT to_char(now() AT TIME ZONE 'UTC', '\"dblog_logs_p\"YYYYMMDD')").fetchall()
    assert made == today

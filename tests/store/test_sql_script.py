"""The SQL for a DBA, and the `alembic` command: other ways to the same tables."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from servers import Choice, Database

from dblog.binaries import find_binaries
from dblog.periods import PartitionBy
from dblog.store.engine import connected, require_tables
from dblog.store.layout import Layout
from dblog.store.migrate import prepare
from dblog.store.names import Names
from dblog.store.partitions import list_partitions
from dblog.store.script import sql_script

ROOT = Path(__file__).parents[2]
CATALOGUE = """
SELECT 'column', attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull::text,
       attcollation::regcollation::text, attidentity::text || coalesce(pg_get_expr(adbin, adrelid), ''),
       col_description(attrelid, attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = %(schema)s::regnamespace AND attnum > 0
UNION ALL
SELECT 'relation', c.oid::regclass::text, relkind::text, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid),
       relacl::text, CASE WHEN relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END, obj_description(c.oid, 'pg_class')
FROM pg_class c WHERE relnamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), NULL, NULL, NULL, NULL
FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid), proacl::text, NULL, NULL, NULL,
       obj_description(oid, 'pg_proc')
FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
ORDER BY 1, 2, 3, 4
"""


def catalogue(database: Database, names: Names) -> list[object]:
    """Everything that the catalogue knows of a schema, and what the small tables hold."""
    with database.connect() as connection:
        found: list[object] = list(connection.execute(CATALOGUE, {"schema": f'"{names.schema}"'}).fetchall())
        for table in (names.settings, names.version_table):
            found.extend(connection.execute(f"SELECT * FROM {names.qualified(table)} ORDER BY 1".encode()).fetchall())
    return found


def run_script(database: Database, script: str, choice: Choice) -> None:
    """Run SQL as a DBA would: through psql where there is one, in one go."""
    folders = [choice.binaries] if choice.binaries else find_binaries()
    psql = next((path for folder in folders if (path := folder / "psql").exists()), None)
    if psql is None:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute(script.encode())
        return
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.dsn]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def alembic(database: Database, *arguments: str) -> str:
    """Run the `alembic` command in the repository; returns what it prints."""
    command = [sys.executable, "-m", "alembic", "-x", f"dsn={database.dsn}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("names", "partition_by"),
    [(Names("public", "dblog"), "day"), (Names("Log 100%:s", "x"), "week"), (Names("logs", "x"), "month")],
)
def test_the_script_does_what_init_does(
    empty_database: Database, server_choice: Choice, names: Names, partition_by: PartitionBy
) -> None:
    """The printed SQL, run literally by psql, leaves the same catalogue behind as the upgrade by Python."""
    run_script(empty_database, sql_script(Layout(names, partition_by, "full"), 5), server_choice)
    by_script = catalogue(empty_database, names)
    with empty_database.connect() as connection:
        connection.execute(f'DROP SCHEMA "{names.schema}" CASCADE'.encode())
        if names.schema == "public":
            connection.execute("CREATE SCHEMA public")
        prepare(
            connection,
            schema=names.schema,
            table_prefix=names.prefix,
            partition_by=partition_by,
            indexes="full",
            partitions_ahead=5,
        )
    assert by_script == catalogue(empty_database, names)
    assert len(by_script) > 100


def test_the_script_ends_with_the_rights_of_the_roles(empty_database: Database) -> None:
    """The grants that it shows as comments are valid SQL for the tables that it makes."""
    names = Names("logs", "dblog")
    script = sql_script(Layout(names, "day", "minimal"), 1)
    grants = [line.removeprefix("-- ") for line in script.splitlines() if line.startswith("-- GRANT ")]
    assert len(grants) == 4
    with empty_database.connect() as connection:
        connection.execute(script.encode())
        for grant in grants:
            connection.execute(grant.replace("writer, reader", "PUBLIC").partition(" TO ")[0].encode() + b" TO PUBLIC")


def test_the_alembic_command_does_what_init_does(empty_database: Database) -> None:
    """`alembic upgrade head`, `current`, `check` and `downgrade base` work in a checkout, on any schema and prefix."""
    place = ("-x", "schema=neu", "-x", "prefix=shop")
    settings = empty_database.settings.database.model_copy(update={"schema_name": "neu", "table_prefix": "shop"})
    alembic(empty_database, *place, "upgrade", "head")
    with connected(settings) as (connection, names):
        require_tables(connection, names)
        assert len(list_partitions(connection, names)) == 16
    assert "0002 (head)" in alembic(empty_database, *place, "current")
    assert "No new upgrade operations detected" in alembic(empty_database, *place, "check")
    alembic(empty_database, *place, "downgrade", "base")
    with empty_database.connect() as connection:
        found = connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'neu'::regnamespace").fetchone()
    assert found == (0,)


def test_the_alembic_command_prints_sql(empty_database: Database) -> None:
    """`alembic upgrade head --sql` prints a script that makes the tables."""
    script = alembic(empty_database, "upgrade", "head", "--sql")
    with empty_database.connect() as connection:
        connection.execute(script.encode())
    with connected(empty_database.settings.database) as (reader, names):
        require_tables(reader, names)

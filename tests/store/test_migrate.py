"""Making, upgrading and removing the tables."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from eventually import PATIENCE
from migrated import objects, prepare, settings
from servers import Database

from dblog.columns import SCHEMA_REVISION
from dblog.config import load_settings
from dblog.fields import IndexProfile
from dblog.store import migrate
from dblog.store.engine import connected, installed_revision, require_tables
from dblog.store.layout import Layout, layout_of
from dblog.store.names import Names
from dblog.store.partitions import list_partitions
from dblog.store.schema import build_metadata

WEIRD_SCHEMA = """My "Sch:ema" %s {0} 'ß'"""


def test_upgrade_makes_the_tables_once(empty_database: Database) -> None:
    """An upgrade says whether it changed anything, and the second one finds nothing to do."""
    with connected(settings(empty_database)) as (connection, names):
        layout = Layout(names, "week", "full")
        assert migrate.upgrade(connection, layout)
        assert not migrate.upgrade(connection, layout)
        require_tables(connection, names)
        assert installed_revision(connection, names) == SCHEMA_REVISION
        assert layout_of(connection, names) == layout


def test_downgrade_leaves_nothing(empty_database: Database) -> None:
    """A downgrade removes every table, partition, index, sequence and function, and Alembic's own table."""
    prepare(empty_database)
    assert objects(empty_database)
    with connected(settings(empty_database)) as (connection, names):
        migrate.downgrade(connection, Layout(names, "day", "standard"))
    assert objects(empty_database) == []


def test_tables_can_be_made_again_after_a_downgrade(empty_database: Database) -> None:
    """Going down and up again ends where the first upgrade ended."""
    prepare(empty_database)
    first = objects(empty_database)
    with connected(settings(empty_database)) as (connection, names):
        migrate.downgrade(connection, Layout(names, "day", "standard"))
    prepare(empty_database)
    assert objects(empty_database) == first


def differences(connection: sa.Connection, names: Names, metadata: sa.MetaData) -> list[object]:
    """What Alembic would change to make the database equal the metadata."""
    ours = {table.name for table in metadata.tables.values()}
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: (
            name == names.schema if kind == "schema" else kind != "table" or name in ours
        ),
        "compare_server_default": True,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


@pytest.mark.parametrize("indexes", ["minimal", "standard", "full"])
def test_metadata_equals_migrations(empty_database: Database, indexes: IndexProfile) -> None:
    """The metadata that queries are built with describes exactly what the migrations make."""
    with connected(settings(empty_database, schema="logs")) as (connection, names):
        migrate.upgrade(connection, Layout(names, "day", indexes))
        metadata = build_metadata(names, indexes)
        assert differences(connection, names, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            found = {index["name"]: index["column_names"] for index in inspector.get_indexes(table.name, schema="logs")}
            assert found == {index.name: [column.name for column in index.columns] for index in table.indexes}


@pytest.mark.parametrize(
    "change",
    [
        "COMMENT ON COLUMN logs.dblog_logs.message IS 'x'",
        "ALTER TABLE logs.dblog_logs ALTER message DROP NOT NULL",
        "ALTER TABLE logs.dblog_batches ALTER created_at DROP DEFAULT",
        "ALTER TABLE logs.dblog_settings ALTER value TYPE varchar(9)",
        "DROP INDEX logs.dblog_logs_warnings",
        "ALTER TABLE logs.dblog_logs ADD surplus integer",
    ],
)
def test_a_difference_between_metadata_and_migrations_is_noticed(empty_database: Database, change: str) -> None:
    """The comparison sees comments, nullability, defaults, types, indexes and columns: its silence means something."""
    with connected(settings(empty_database, schema="logs")) as (connection, names):
        migrate.upgrade(connection, Layout(names, "day", "standard"))
        connection.execute(sa.text(change))
        assert differences(connection, names, build_metadata(names, "standard"))


def test_two_prefixes_live_in_one_schema(empty_database: Database) -> None:
    """Each prefix has its own tables, revision, function and partitions, and goes without touching the other."""
    prepare(empty_database, prefix="shop")
    alone = objects(empty_database)
    prepare(empty_database, prefix="bank")
    with connected(settings(empty_database, prefix="bank")) as (connection, names):
        assert len(list_partitions(connection, names)) == 6
        connection.commit()
        migrate.downgrade(connection, Layout(names, "day", "standard"))
    assert objects(empty_database) == alone


@pytest.mark.parametrize("schema", ["My Schema", "select", WEIRD_SCHEMA])
def test_any_schema_name_works(empty_database: Database, schema: str) -> None:
    """A schema that is missing is made, whatever characters its name has, and everything goes into it."""
    prepare(empty_database, schema=schema)
    assert {found for found, _ in objects(empty_database)} == {schema}
    with connected(settings(empty_database, schema=schema)) as (connection, names):
        assert len([part for part in list_partitions(connection, names) if part.ours]) == 6


def test_without_a_schema_the_first_of_the_search_path_is_used(empty_database: Database) -> None:
    """The tables go where the role's other unqualified tables go."""
    with empty_database.connect() as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("SET search_path = nowhere, app, public")
        migrate.prepare(
            connection, schema=None, table_prefix="dblog", partition_by="day", indexes="minimal", partitions_ahead=1
        )
    assert {schema for schema, _ in objects(empty_database)} == {"app"}


def test_many_may_start_at_once(empty_database: Database) -> None:
    """Eight that prepare the same missing schema at the same moment all succeed, and the tables are made once."""
    start = Barrier(8)

    def worker(number: int) -> None:
        start.wait(PATIENCE)
        prepare(empty_database, schema="busy", prefix="a" if number % 2 else "b")

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(worker, number) for number in range(8)]:
            done.result(PATIENCE)
    for prefix in ("a", "b"):
        with connected(settings(empty_database, "busy", prefix)) as (connection, names):
            require_tables(connection, names)
            assert len(list_partitions(connection, names)) == 6


def test_alembic_of_the_application_is_left_alone(empty_database: Database) -> None:
    """Preparing the tables installs nothing in `alembic.op` and `alembic.context`, which the application may use."""
    op, context = importlib.import_module("alembic.op"), importlib.import_module("alembic.context")
    seen = []

    def watch(frame: object, event: str, _: object) -> None:
        if event == "call":
            seen.append((getattr(op, "_proxy", None), getattr(context, "_proxy", None)))

    with empty_database.connect() as connection:
        sys.setprofile(watch)
        try:
            migrate.prepare(
                connection, schema=None, table_prefix="dblog", partition_by="day", indexes="full", partitions_ahead=1
            )
        finally:
            sys.setprofile(None)
    assert set(seen) == {(None, None)}


def test_prepare_leaves_the_connection_usable(empty_database: Database) -> None:
    """The connection that was handed in is open, idle and in autocommit mode afterwards."""
    with psycopg.connect(empty_database.dsn) as connection:
        migrate.prepare(
            connection, schema=None, table_prefix="dblog", partition_by="hour", indexes="full", partitions_ahead=1
        )
        assert connection.autocommit
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        row = connection.execute("SELECT count(*) FROM dblog_logs").fetchone()
    assert row == (0,)


def test_the_settings_of_config_reach_the_tables(empty_database: Database) -> None:
    """What `config.yml` says about schema and prefix is where the tables are."""
    loaded = load_settings({"database": {"schema": "x", "table_prefix": "y"}}, dsn=empty_database.dsn)
    with connected(loaded.database) as (connection, names):
        assert names == Names("x", "y")
        migrate.upgrade(connection, Layout(names, "day", "minimal"))
    assert ("x", "y_logs") in objects(empty_database)

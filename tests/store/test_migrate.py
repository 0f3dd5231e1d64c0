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
from psycopg import sql
from servers import Database

from dblog.columns import SCHEMA_REVISION
from dblog.config import load_settings
from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.fields import IndexProfile
from dblog.settings import DatabaseSettings
from dblog.store import migrate
from dblog.store.engine import connected, installed_revision, require_tables
from dblog.store.layout import Layout, layout_of
from dblog.store.names import Names
from dblog.store.partitions import list_partitions
from dblog.store.schema import build_metadata

WEIRD_SCHEMA = """My "Sch:ema" %s {0} 'ß'"""


def settings(database: Database, schema: str | None = None, prefix: str = "dblog") -> DatabaseSettings:
    """Settings for a schema and a prefix in a test's database."""
    return DatabaseSettings.model_validate({"dsn": database.dsn, "schema": schema, "table_prefix": prefix})


def prepare(database: Database, schema: str | None = None, prefix: str = "dblog") -> None:
    """What an application's worker does at its first connection."""
    with database.connect() as connection:
        migrate.prepare(
            connection,
            schema=schema,
            table_prefix=prefix,
            partition_by="day",
            indexes="standard",
            partitions_ahead=2,
        )


def objects(database: Database) -> list[tuple[str, str]]:
    """Every table, index, sequence and function outside the system's schemas."""
    with database.connect() as connection:
        return connection.execute(
            """
            SELECT n.nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE n.nspname !~ '^pg_|^information_schema$'
            UNION ALL
            SELECT n.nspname, proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
            WHERE n.nspname !~ '^pg_|^information_schema$'
            ORDER BY 1, 2
            """
        ).fetchall()


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


def test_a_search_path_without_schemas_is_named_as_the_reason(empty_database: Database) -> None:
    """Where no schema exists to work in, the message says what to set."""
    with empty_database.connect() as connection:
        connection.execute("SET search_path = nowhere")
        with pytest.raises(DatabaseError, match=r"search_path.*database\.schema"):
            migrate.prepare(
                connection, schema=None, table_prefix="dblog", partition_by="day", indexes="full", partitions_ahead=1
            )


def test_many_may_start_at_once(empty_database: Database) -> None:
    """Eight that prepare the same missing schema at the same moment all succeed, and the tables are made once."""
    start = Barrier(8)

    def worker(number: int) -> None:
        start.wait(30)
        prepare(empty_database, schema="busy", prefix="a" if number % 2 else "b")

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(worker, number) for number in range(8)]:
            done.result(60)
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


def test_a_lost_connection_is_unreachable(empty_database: Database) -> None:
    """A connection that ends under `prepare` is reported as such, without the driver's text."""
    with psycopg.connect(empty_database.dsn) as connection, empty_database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(Unreachable, match="tables cannot be prepared"):
            migrate.prepare(
                connection, schema=None, table_prefix="dblog", partition_by="day", indexes="full", partitions_ahead=1
            )


def test_an_unknown_revision_is_refused(database: Database) -> None:
    """Tables of a later release are neither changed nor used."""
    with database.connect() as connection:
        connection.execute("UPDATE dblog_alembic_version SET version_num = '9999'")
    with pytest.raises(NotMigrated, match="9999"):
        prepare(database)
    with pytest.raises(NotMigrated, match="9999"), connected(settings(database)) as (connection, names):
        require_tables(connection, names)


def test_an_old_server_is_refused(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server older than the oldest supported one is named with its version, and nothing is made on it."""
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 99_00_00)
    with pytest.raises(DatabaseError, match="is too old: dblog works with 99 and later"):
        prepare(empty_database)
    assert objects(empty_database) == []


@pytest.mark.parametrize(
    ("schema", "right"),
    [("private", "USAGE on the schema"), ("visible", "CREATE on that schema"), ("missing", "CREATE on the database")],
)
def test_a_missing_right_is_named(empty_database: Database, schema: str, right: str) -> None:
    """A role that may not make the tables is told which right it lacks and what to hand to the DBA."""
    role = sql.Identifier(f"{empty_database.name}_poor")
    with empty_database.connect() as owner, empty_database.connect() as connection:
        owner.execute("CREATE SCHEMA private; CREATE SCHEMA visible")
        owner.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            owner.execute(sql.SQL("GRANT USAGE ON SCHEMA visible TO {}").format(role))
            connection.execute(sql.SQL("SET ROLE {}").format(role))
            with pytest.raises(DatabaseError) as caught:
                migrate.prepare(
                    connection,
                    schema=schema,
                    table_prefix="dblog",
                    partition_by="day",
                    indexes="minimal",
                    partitions_ahead=1,
                )
        finally:
            connection.close()
            owner.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))
    message = str(caught.value)
    assert all(part in message for part in (f"{empty_database.name}_poor", schema, right, "dblog init --sql"))


def test_a_right_that_turns_out_to_be_missing_is_reported(empty_database: Database) -> None:
    """A right that is only missed halfway leaves nothing behind, and the message names the role and the way out."""
    role = sql.Identifier(f"{empty_database.name}_poor")
    with empty_database.connect() as owner, empty_database.connect() as connection:
        owner.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; CREATE SCHEMA logs")
        owner.execute(sql.SQL("CREATE ROLE {role}; GRANT ALL ON SCHEMA logs TO {role}").format(role=role))
        try:
            connection.execute(sql.SQL("SET ROLE {}").format(role))
            with pytest.raises(DatabaseError, match=rf"{empty_database.name}_poor .* `dblog init --sql`"):
                migrate.prepare(
                    connection,
                    schema="logs",
                    table_prefix="dblog",
                    partition_by="day",
                    indexes="minimal",
                    partitions_ahead=1,
                )
        finally:
            connection.close()
            owner.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))
    assert objects(empty_database) == []


def test_the_settings_of_config_reach_the_tables(empty_database: Database) -> None:
    """What `config.yml` says about schema and prefix is where the tables are."""
    loaded = load_settings({"database": {"schema": "x", "table_prefix": "y"}}, dsn=empty_database.dsn)
    with connected(loaded.database) as (connection, names):
        assert names == Names("x", "y")
        migrate.upgrade(connection, Layout(names, "day", "minimal"))
    assert ("x", "y_logs") in objects(empty_database)

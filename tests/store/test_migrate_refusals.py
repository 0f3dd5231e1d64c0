"""What keeps the tables from being made or used is named, and nothing is left half done."""

import psycopg
import pytest
from migrated import objects, prepare, settings
from psycopg import sql
from servers import Database

from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.store import migrate
from dblog.store.engine import connected, require_tables


def test_a_search_path_without_schemas_is_named_as_the_reason(empty_database: Database) -> None:
    """Where no schema exists to work in, the message says what to set."""
    with empty_database.connect() as connection:
        connection.execute("SET search_path = nowhere")
        with pytest.raises(DatabaseError, match=r"search_path.*database\.schema"):
            migrate.prepare(
                connection, schema=None, table_prefix="dblog", partition_by="day", indexes="full", partitions_ahead=1
            )


def test_a_lost_connection_is_unreachable(empty_database: Database) -> None:
    """A connection that ends under `prepare` is reported as such, without the driver's text."""
    with psycopg.connect(empty_database.dsn) as connection, empty_database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [connection.info.backend_pid])
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

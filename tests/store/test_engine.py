"""Connections of the reading and keeping side."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.settings import DatabaseSettings
from dblog.store.engine import connected, keeping, reading
from dblog.store.schema import batches_table, logs_table, settings_table


def of(dsn: str, **more: object) -> DatabaseSettings:
    """Settings for a connection string."""
    return DatabaseSettings.model_validate({"dsn": dsn, **more})


def test_reading_cannot_write(database: Database) -> None:
    """A reading command changes nothing, whatever rights its role has."""
    with pytest.raises(DatabaseError), reading(database.settings.database) as (connection, names):
        connection.execute(sa.delete(logs_table(names)))


def test_reading_stays_read_only_in_every_transaction(database: Database) -> None:
    """The second transaction is as read-only as the first, and its statements are limited in time as well."""
    with reading(database.settings.database, statement_timeout=7) as (connection, _):
        for _ in range(2):
            with connection.begin():
                found = connection.execute(
                    sa.text("SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')")
                ).one()
                assert tuple(found) == ("on", "7s")


def test_a_long_statement_is_ended(database: Database) -> None:
    """A statement that runs longer than its limit is reported as that."""
    with (
        pytest.raises(DatabaseError, match="time limit"),
        reading(database.settings.database, statement_timeout=0.05) as (connection, _),
    ):
        connection.execute(sa.text("SELECT pg_sleep(30)"))


def test_times_are_in_utc(database: Database) -> None:
    """Times come in UTC, whatever the time zone of the database and its role."""
    with connected(database.settings.database) as (connection, _):
        moment: datetime = connection.execute(sa.text("SELECT now()")).scalar_one()
        assert moment.utcoffset() == datetime.now(UTC).utcoffset()
        assert connection.scalar(sa.text("SHOW DateStyle")).startswith("ISO")


def test_the_tables_can_be_queried_through_their_descriptions(database: Database) -> None:
    """Every column that the code knows is in the database."""
    with reading(database.settings.database) as (connection, names):
        for table in (logs_table(names), batches_table(names)):
            assert connection.execute(sa.select(table)).all() == []
        stored = connection.execute(sa.select(settings_table(names))).all()
    assert set(map(tuple, stored)) == {
        ("partition_by", "day"),
        ("indexes", "standard"),
        ("oldest_writer", "0001"),
    }


def test_missing_tables_are_named(empty_database: Database) -> None:
    """Without tables the message says where they were looked for and what makes them."""
    settings = of(empty_database.dsn, table_prefix="shop")
    with pytest.raises(NotMigrated, match=r"shop_.* in the schema public: run `dblog init`"), keeping(settings):
        pass


def test_a_missing_schema_has_no_tables(empty_database: Database) -> None:
    """A schema that is not there is reported like missing tables."""
    with pytest.raises(NotMigrated, match="schema nowhere"), keeping(of(empty_database.dsn, schema="nowhere")):
        pass


def test_a_table_that_is_dropped_meanwhile_is_not_migrated(database: Database) -> None:
    """A table that vanishes under a command leads to `dblog init`, too."""
    with keeping(database.settings.database) as (_, names), database.connect() as other:
        other.execute("DROP TABLE dblog_logs")
    with pytest.raises(NotMigrated), keeping(database.settings.database) as (connection, _):
        connection.execute(sa.select(logs_table(names)))


@pytest.mark.parametrize("change", [{"password": "swordfish"}, {"dbname": "no_such_database"}, {"port": 1}])
def test_what_cannot_be_reached_is_named_without_secrets(database: Database, change: dict[str, str | int]) -> None:
    """The message names role, host and database, and neither the password nor the driver's words."""
    wrong: dict[str, str | int] = {"password": "swordfish", "user": "nobody_here", **change}
    dsn = make_conninfo(database.dsn, **wrong)
    with pytest.raises(Unreachable) as caught, connected(of(dsn, connect_timeout=2)):
        pass
    message = str(caught.value)
    assert "nobody_here@" in message
    assert "swordfish" not in message
    assert "FATAL" not in message
    assert "\n" not in message
    assert caught.value.__suppress_context__


def test_a_lost_connection_is_unreachable(database: Database) -> None:
    """A connection that the server ends is reported as such."""
    with pytest.raises(Unreachable), connected(database.settings.database) as (connection, _):
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

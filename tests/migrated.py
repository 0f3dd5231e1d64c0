"""Tables as an application's worker makes them in a test's database, and what is there afterwards."""

from servers import Database

from dblog.settings import DatabaseSettings
from dblog.store import migrate


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

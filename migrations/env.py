"""What the `alembic` command runs: it finds the database as every dblog command does, then migrates under a lock."""

from logging.config import fileConfig
from typing import Any

from alembic import context

from dblog.config import load_settings
from dblog.settings import DatabaseSettings
from dblog.store.engine import connected
from dblog.store.layout import Layout
from dblog.store.migrate import drop_version_table, lock, require_schema, require_server
from dblog.store.names import Names
from dblog.store.partitions import make_ahead
from dblog.store.schema import build_metadata


def settings_of_this_run() -> DatabaseSettings:
    """The settings, with what `-x dsn=`, `-x config=`, `-x schema=` and `-x prefix=` say instead."""
    given = context.get_x_argument(as_dictionary=True)
    database = load_settings(given.get("config"), dsn=given.get("dsn")).database
    changes = {"schema_name": given.get("schema"), "table_prefix": given.get("prefix")}
    return DatabaseSettings(
        **{**dict(database), **{name: value for name, value in changes.items() if value is not None}}
    )


def configure(layout: Layout, **more: Any) -> None:
    """Tell Alembic about the tables of one installation, and to look at nothing else in the schema."""
    metadata = build_metadata(layout.names, layout.indexes)
    ours = {table.name for table in metadata.tables.values()}
    context.configure(
        target_metadata=metadata,
        version_table=layout.names.version_table,
        version_table_schema=layout.names.schema,
        include_schemas=True,
        include_name=lambda name, kind, parents: (
            name == layout.names.schema
            if kind == "schema"
            else kind != "table" or (name in ours and parents["schema_name"] == layout.names.schema)
        ),
        compare_server_default=True,
        dblog=layout,
        **more,
    )


def migrate_offline(settings: DatabaseSettings) -> None:
    """Print SQL, without a connection."""
    names = Names(settings.schema_name or "public", settings.table_prefix)
    configure(
        Layout(names, settings.partition_by, settings.indexes),
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_online(settings: DatabaseSettings) -> None:
    """Change the database in one transaction; after an upgrade make the partitions ahead."""
    with connected(settings) as (connection, names):
        with connection.begin():
            require_server(connection)
            lock(connection, names.lock)
            # Else Alembic calls the tables of the default schema by their bare names, and misses those of the metadata.
            connection.dialect.default_schema_name = None
            configure(Layout(names, settings.partition_by, settings.indexes), connection=connection)
            running = context.get_context()
            before = running.get_current_heads()
            if not running.opts.get("dont_mutate"):
                require_schema(connection, names)
            context.run_migrations()
            after = running.get_current_heads()
            if before and not after:
                drop_version_table(connection, names)
        if after and after != before:
            make_ahead(connection, names, settings.partitions_ahead)


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    migrate_offline(settings_of_this_run())
else:
    migrate_online(settings_of_this_run())

"""Tables of an earlier revision, as an earlier release left them behind."""

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from servers import Database

from dblog.store.engine import connected
from dblog.store.layout import Layout
from dblog.store.migrate import context_options
from dblog.store.partitions import make_ahead


def make_revision(database: Database, revision: str, *, ahead: int = 2) -> None:
    """Make the tables of a revision in an empty database, with partitions."""
    with connected(database.settings.database) as (connection, names):
        options = context_options(Layout(names, "day", "standard"), "head")
        script = options["script"]
        options["fn"] = lambda heads, _context: script._upgrade_revs(revision, heads)
        with connection.begin():
            context = MigrationContext.configure(connection, opts=options)
            context.run_migrations(operations=Operations(context))
        make_ahead(connection, names, ahead)


def catalogue(database: Database) -> list[tuple[object, ...]]:
    """Tables, columns, indexes with their validity, functions and settings: what two ways to a state agree in."""
    with database.connect() as connection:
        return connection.execute(
            """
            SELECT c.relname, c.relkind::text, pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid, 'pg_class'),
                   (SELECT string_agg(attname || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
                   (SELECT indisvalid FROM pg_index WHERE indexrelid = c.oid),
                   (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid)
            FROM pg_class c WHERE relnamespace = 'public'::regnamespace
            UNION ALL
            SELECT proname, prosrc, NULL, NULL, NULL, NULL, NULL
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL
            SELECT name, value, NULL, NULL, NULL, NULL, NULL FROM dblog_settings
            UNION ALL
            SELECT 'revision', version_num, NULL, NULL, NULL, NULL, NULL FROM dblog_alembic_version
            ORDER BY 1, 2
            """
        ).fetchall()

"""`dblog init`: create or upgrade the tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from dblog.cli.options import Seconds, location_options
from dblog.columns import SCHEMA_REVISION
from dblog.config import load_settings
from dblog.errors import DatabaseError, Unreachable, UsageError
from dblog.fields import IndexProfile
from dblog.periods import PartitionBy
from dblog.settings import DatabaseSettings
from dblog.store.engine import connected
from dblog.store.layout import Layout, layout_of, set_partition_by
from dblog.store.migrate import sql_script, upgrade
from dblog.store.names import Names
from dblog.store.partitions import make_ahead


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for; None leaves it to the settings or to what is there."""

    partition_by: PartitionBy | None
    indexes: IndexProfile | None

    def layout(self, names: Names, database: DatabaseSettings) -> Layout:
        """The layout for new tables."""
        return Layout(names, self.partition_by or database.partition_by, self.indexes or database.indexes)


@click.command("init")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL instead of running it.")
@click.option(
    "--partition-by",
    type=click.Choice(get_args(PartitionBy)),
    help="What a partition holds; where there are tables, what every new partition holds.",
)
@click.option("--indexes", type=click.Choice(get_args(IndexProfile)), help="The index profile of new tables.")
@click.option(
    "--wait",
    type=Seconds(min=0, max=86_400),
    default=0,
    metavar="SECONDS",
    help="Wait so long for the server to answer.",
)
@location_options
def command(
    config_path: Path | None,
    dsn: str | None,
    as_sql: bool,
    partition_by: PartitionBy | None,
    indexes: IndexProfile | None,
    wait: float,
) -> None:
    """Create or upgrade the tables, and make the partitions ahead."""
    database = load_settings(config_path, dsn=dsn, need_database=not as_sql).database
    wanted = Wanted(partition_by, indexes)
    if as_sql:
        layout = wanted.layout(_names(database), database)
        click.echo(sql_script(layout, database.partitions_ahead), nl=False)
        return
    for attempt in Retrying(
        retry=retry_if_exception_type(Unreachable), stop=stop_after_delay(wait), wait=wait_fixed(0.5), reraise=True
    ):
        with attempt, connected(database) as (connection, names):
            changed = upgrade(connection, wanted.layout(names, database))
            layout = _adapt(connection, names, wanted)
            made = make_ahead(connection, names, database.partitions_ahead)
            _report(layout, changed=changed, made=len(made))


def _adapt(connection: sa.Connection, names: Names, wanted: Wanted) -> Layout:
    """Bring tables that were there before to what the command line asks for, as far as that can be done."""
    with connection.begin():
        layout = layout_of(connection, names)
        if wanted.indexes not in (None, layout.indexes):
            raise UsageError(
                f"--indexes {wanted.indexes}: the tables are there, with the profile {layout.indexes}, which is chosen "
                "when they are made; create or drop single indexes with SQL"
            )
        if wanted.partition_by not in (None, layout.partition_by):
            set_partition_by(connection, names, wanted.partition_by)
        return layout_of(connection, names)


def _report(layout: Layout, *, changed: bool, made: int) -> None:
    names = layout.names
    state = f"now at revision {SCHEMA_REVISION}" if changed else "up to date"
    click.echo(
        f"{names.prefix}_* in the schema {names.schema}: {state}; partitions by {layout.partition_by}, {made} made; "
        f"indexes: {layout.indexes}"
    )


def _names(database: DatabaseSettings) -> Names:
    """The names for SQL that somebody else runs: in the schema of the settings, or in the one the server would take."""
    if database.schema_name:
        return Names(database.schema_name, database.table_prefix)
    try:
        with connected(database) as (_, names):
            return names
    except DatabaseError as error:
        click.echo(f"dblog: note: the SQL is for the schema public, set database.schema for another: {error}", err=True)
        return Names("public", database.table_prefix)

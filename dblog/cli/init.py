"""`dblog init`: create or upgrade the tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from dblog.cli.options import Seconds, location_options
from dblog.columns import SCHEMA_REVISION
from dblog.config import load_settings
from dblog.errors import DatabaseError, Unreachable, UsageError
from dblog.fields import IndexProfile
from dblog.periods import PartitionBy
from dblog.settings import DatabaseSettings
from dblog.store.engine import connected
from dblog.store.indexing import change_indexes
from dblog.store.layout import Layout, layout_of, set_partition_by
from dblog.store.migrate import upgrade
from dblog.store.names import Names
from dblog.store.partitions import make_ahead
from dblog.store.role_setup import set_up_roles
from dblog.store.roles import roles_script
from dblog.store.script import sql_script


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
    "--from-revision", metavar="REVISION", help="With --sql: the revision of the tables.  [default: new tables]"
)
@click.option(
    "--partition-by",
    type=click.Choice(get_args(PartitionBy)),
    help="What a partition holds; where there are tables, what every new partition holds.",
)
@click.option(
    "--indexes",
    type=click.Choice(get_args(IndexProfile)),
    help="The index profile; where there are tables, indexes are built and dropped while they are in use.",
)
@click.option("--roles", "with_roles", is_flag=True, help="Make the roles that own, write and read the tables, too.")
@click.option("--login", is_flag=True, help="With --roles: let them log in themselves, instead of being groups.")
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
    from_revision: str | None,
    partition_by: PartitionBy | None,
    indexes: IndexProfile | None,
    with_roles: bool,
    login: bool,
    wait: float,
) -> None:
    """Create or upgrade the tables, and make the partitions ahead."""
    if login and not with_roles:
        raise UsageError("--login says what the roles of --roles may do: give both")
    if from_revision and not as_sql:
        raise UsageError("--from-revision is for the SQL of --sql: give both")
    database = load_settings(config_path, dsn=dsn, need_database=not as_sql).database
    wanted = Wanted(partition_by, indexes)
    if as_sql:
        layout = wanted.layout(_names(database), database)
        click.echo(sql_script(layout, database.partitions_ahead, since=from_revision), nl=False)
        if with_roles:
            click.echo(roles_script(layout.names, login=login), nl=False)
        return
    for attempt in Retrying(
        retry=retry_if_exception_type(Unreachable), stop=stop_after_delay(wait), wait=wait_fixed(0.5), reraise=True
    ):
        with attempt, connected(database) as (connection, names):
            changed = upgrade(connection, wanted.layout(names, database))
            layout = _adapt(connection, names, wanted)
            made = make_ahead(connection, names, database.partitions_ahead)
            _report(layout, changed=changed, made=len(made))
            if with_roles:
                roles = set_up_roles(connection, names, login=login)
                click.echo(f"roles: {roles.owner} owns the tables, {roles.writer} adds to them, {roles.reader} reads")


def _adapt(connection: sa.Connection, names: Names, wanted: Wanted) -> Layout:
    """Bring tables that were there before to what the command line asks for."""
    with connection.begin():
        layout = layout_of(connection, names)
        if wanted.partition_by not in (None, layout.partition_by):
            set_partition_by(connection, names, wanted.partition_by)
    if wanted.indexes is not None:
        _change_indexes(connection, names, wanted.indexes)
    with connection.begin():
        return layout_of(connection, names)


def _change_indexes(connection: sa.Connection, names: Names, profile: IndexProfile) -> None:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("indexes", total=None)
        for done, (step, total) in enumerate(change_indexes(connection, names, profile)):
            progress.update(bar, completed=done, total=total, description=f"{step.action} {step.index}")


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

"""An installation with its three roles, and roles that log in as members of them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database, Databases

from dblog.config import load_settings
from dblog.settings import Settings
from dblog.store.engine import connected
from dblog.store.layout import Layout
from dblog.store.migrate import upgrade
from dblog.store.names import Names
from dblog.store.partitions import make_ahead
from dblog.store.role_setup import set_up_roles
from dblog.store.roles import Roles

PASSWORD = "secret"


@dataclass(frozen=True)
class Installation:
    """Tables with roles of their own, because roles belong to the whole server."""

    database: Database
    names: Names

    @property
    def roles(self) -> Roles:
        """The three roles."""
        return Roles.of(self.names)

    def settings(self, dsn: str | None = None) -> Settings:
        """The settings for whoever logs in with a connection string; by default the superuser."""
        tables = {"schema": self.names.schema, "table_prefix": self.names.prefix, "partitions_ahead": 2}
        return load_settings({"database": tables}, dsn=dsn or self.database.dsn)

    def login(self, kind: str) -> str:
        """The connection string of a role that logs in as `owner`, `writer`, `reader`, or has no rights at all."""
        return make_conninfo(self.database.dsn, user=self.member(kind), password=PASSWORD)

    def member(self, kind: str) -> str:
        """The name of the role that logs in."""
        return f"{self.names.prefix}_{kind}_login"

    def set_up(self, dsn: str | None = None, *, login: bool = False) -> None:
        """What `dblog init --roles` does."""
        settings = self.settings(dsn).database
        with connected(settings) as (connection, names):
            upgrade(connection, Layout(names, "day", "standard"))
            make_ahead(connection, names, settings.partitions_ahead)
            set_up_roles(connection, names, login=login)

    def as_member(self, kind: str) -> psycopg.Connection:
        """A session of a role that logs in, in autocommit mode; the caller closes it."""
        return psycopg.connect(self.login(kind), autocommit=True)

    def places(self) -> dict[str, str]:
        """What statements of tests may name."""
        names = self.names
        quoted = {part: names.qualified(getattr(names, part)) for part in ("logs", "batches", "settings")}
        schema, version = f'"{names.schema}"', names.qualified(names.version_table)
        return {**quoted, "version": version, "function": names.qualified(names.make_partition), "schema": schema}


@contextmanager
def installation(databases: Databases, schema: str = "Log Schema") -> Iterator[Installation]:
    """A fresh database in which nothing is installed; the roles that a test makes are dropped at its end."""
    with databases.new() as database:
        found = Installation(database, Names(schema, f"r{secrets.token_hex(4)}"))
        try:
            yield found
        finally:
            drop_roles(database, found.names.prefix)


def make_members(found: Installation) -> None:
    """Make a role that logs in for each of the three, and one for nothing."""
    with found.database.connect() as owner:
        for kind in ("owner", "writer", "reader", "stranger"):
            name = sql.Identifier(found.member(kind))
            owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(PASSWORD)))
            if kind != "stranger":
                group = sql.Identifier(f"{found.names.prefix}_{kind}")
                owner.execute(sql.SQL("GRANT {} TO {}").format(group, name))


def drop_roles(database: Database, prefix: str) -> None:
    """Drop the roles whose names begin with a prefix, with all that they own in a database."""
    with database.connect() as owner:
        found = owner.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [f"{prefix}_"]).fetchall()
        roles = [sql.Identifier(name) for (name,) in found]
        for role in roles:
            owner.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        for role in roles:
            owner.execute(sql.SQL("DROP ROLE {}").format(role))

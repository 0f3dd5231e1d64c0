"""Whose rows they are: the tables of one prefix in one schema of one database."""

from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa

from dblog.store.names import Names


@dataclass(frozen=True, slots=True)
class Installation:
    """What tells the tables of one installation from those of another, on this server and on every other."""

    system: str | None
    """The system identifier of the server, which copies of its files share; None where the role may not read it."""
    database: str
    schema: str
    prefix: str

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Understand an object of JSON.

        Raises:
            ValueError: It is none, or of another kind.
            TypeError: The same.
        """
        found = cls(**value)
        if not all(isinstance(part, str) for part in (found.system or "", found.database, found.schema, found.prefix)):
            raise ValueError
        return found

    def is_same(self, other: "Installation") -> bool:
        """Whether the tables are the same; a server that is not known may be any."""
        servers = {self.system, other.system} - {None}
        mine, others = ((each.database, each.schema, each.prefix) for each in (self, other))
        return mine == others and len(servers) < 2

    def __str__(self) -> str:
        """As a person would name it."""
        server = f" of the server {self.system}" if self.system else ""
        return f"the database {self.database}{server} (schema {self.schema}, prefix {self.prefix})"


def installation_of(connection: sa.Connection, names: Names) -> Installation:
    """The installation that has these names on this server."""
    readable = connection.scalar(sa.text("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"))
    system = connection.scalar(sa.text("SELECT system_identifier::text FROM pg_control_system()")) if readable else None
    database = connection.execute(sa.select(sa.func.current_database())).scalar_one()
    return Installation(system, database, names.schema, names.prefix)

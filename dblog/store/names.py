"""The names of everything that dblog keeps in a database."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

Table = Literal["logs", "batches"]
"""The two partitioned tables."""


@dataclass(frozen=True, slots=True)
class Names:
    """A schema and a table prefix: together they tell one installation from another in the same database."""

    schema: str
    prefix: str

    @property
    def logs(self) -> str:
        """The table of the records."""
        return f"{self.prefix}_logs"

    @property
    def batches(self) -> str:
        """The ledger: one row for each delivered batch."""
        return f"{self.prefix}_batches"

    def of(self, table: Table) -> str:
        """One of the two partitioned tables."""
        return self.logs if table == "logs" else self.batches

    @property
    def settings(self) -> str:
        """The table of what the database itself has to know: the granularity and the index profile."""
        return f"{self.prefix}_settings"

    @property
    def version_table(self) -> str:
        """The table in which Alembic notes the revision."""
        return f"{self.prefix}_alembic_version"

    @property
    def make_partition(self) -> str:
        """The function that makes the partitions for a moment."""
        return f"{self.prefix}_make_partition"

    @property
    def lock(self) -> str:
        """The text whose hash is the advisory lock under which tables and partitions are made."""
        return f"dblog {self.schema}.{self.prefix}"

    def qualified(self, name: str) -> str:
        """One of the names with its schema in front, both quoted."""
        return sql.Identifier(self.schema, name).as_string(None)

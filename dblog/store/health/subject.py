"""What the checks look at, read once."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dblog.fields import IndexProfile
from dblog.periods import PartitionBy
from dblog.settings import Settings
from dblog.store.archivers import lacking_option
from dblog.store.marks import Leftover
from dblog.store.names import Names
from dblog.store.partitions import Partition

EXAMPLES = 5
"""Tables of one kind that a finding names."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One installation, and who looks at it."""

    connection: sa.Connection
    names: Names
    settings: Settings
    partition_by: PartitionBy
    indexes: IndexProfile
    partitions: tuple[Partition, ...]
    leftovers: tuple[Leftover, ...]
    now: datetime
    """The clock of the server."""
    role: str
    """The role that asks, quoted."""
    may_read: bool
    """Whether it may read the records."""


def prune(subject: Subject, *options: str) -> str:
    """The command that finishes what the retention has begun, and loses nothing that is to be archived first."""
    archives = subject.settings.logging.database.archive is not None
    return " ".join(["dblog prune", *options]) + lacking_option(subject.leftovers, archives=archives)


def psql(statements: Iterable[str]) -> str:
    """The command that runs statements: one after the other, without a transaction around them."""
    return " ".join(["psql", *(f"-c {shlex.quote(statement)}" for statement in statements)])


def named(tables: Iterable[str]) -> str:
    """Names of tables for a finding: the first few, and how many there are."""
    known = tuple(tables)
    more = f" and {len(known) - EXAMPLES} more" if len(known) > EXAMPLES else ""
    return ", ".join(known[:EXAMPLES]) + more

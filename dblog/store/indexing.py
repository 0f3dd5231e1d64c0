"""Changing the indexes of a table that is written to: partition by partition, so that nobody waits for a build."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from tenacity import wait_random

from dblog.errors import DatabaseError
from dblog.faults import sqlstate_of
from dblog.fields import IndexProfile
from dblog.store.engine import holders, verbatim
from dblog.store.indexstate import Index, indexes_of, own_names, set_aside_name, wanted_by
from dblog.store.layout import set_indexes
from dblog.store.locks import is_lock_timeout, patient
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions

SHORT: Final = "1s"
"""For locks that make writers queue up behind whoever waits for them: it gives up soon, and tries again later."""

SHORT_ATTEMPTS: Final = 30

LONG: Final = "10min"
"""For CONCURRENTLY, which lets everybody pass while it waits."""

_GONE: Final = "42P01"


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way from the indexes that are there to those of a profile."""

    action: Literal["set aside", "define", "build", "drop"]
    index: str
    """The parent's index."""
    definition: str = ""
    """For `define` and `build`, what comes after the table in CREATE INDEX."""
    partition: str = ""
    """For `build`, the partition that gets its part of the index."""


def plan(
    wanted: Mapping[str, str],
    found: Iterable[Index],
    own: Collection[str],
    partitions: Iterable[Partition],
    logs: str,
) -> tuple[Step, ...]:
    """Choose the steps that are left: new indexes first, partition by partition, then the old ones go.

    The oldest partitions come first, because the parent's index is complete when the last one is attached, which the
    retention must not have dropped before its turn.

    Args:
        wanted: The definitions by the names of the parent's indexes.
        found: What is there.
        own: Names of indexes of the parent that are dblog's to drop.
        partitions: Those of the records, oldest first.
        logs: The name of the parent.
    """
    known = tuple(found)
    parents = {index.name: index.definition for index in known if index.table == logs}
    covered = {(index.parent, index.table) for index in known}
    outdated = [name for name in wanted if parents.get(name, wanted[name]) != wanted[name]]
    steps: list[Step] = []
    for name in outdated:
        if set_aside_name(name) in parents:  # of a change that was given up halfway
            steps.append(Step("drop", set_aside_name(name)))
        steps.append(Step("set aside", name))
    for name, definition in wanted.items():
        new = name in outdated or name not in parents
        if new:
            steps.append(Step("define", name, definition))
        steps += [
            Step("build", name, definition, part.name)
            for part in partitions
            if part.ours and not part.detaching and (new or (name, part.name) not in covered)
        ]
    surplus = {name for name in parents if name in own and name not in wanted} | {*map(set_aside_name, outdated)}
    return (*steps, *(Step("drop", name) for name in sorted(surplus)))


def plan_indexes(connection: sa.Connection, names: Names, profile: IndexProfile) -> tuple[Step, ...]:
    """Find what has to be done for a profile; the connection must be in no transaction."""
    wanted = wanted_by(connection, names, profile)
    with connection.begin():
        partitions = [part for part in list_partitions(connection, names) if part.table == "logs"]
        return plan(wanted, indexes_of(connection, names), own_names(names), partitions, names.logs)


def change_indexes(connection: sa.Connection, names: Names, profile: IndexProfile) -> Iterator[tuple[Step, int]]:
    """Bring the indexes to a profile, and tell of each step and of how many there are before it is taken.

    Every statement commits by itself; killed at any point, the next run does what is left. Partitions that dblog
    did not make are left alone.

    Args:
        connection: In no transaction; the work is done on another one, because CONCURRENTLY cannot be part of one.
        names: The tables.
        profile: Which indexes there should be; noted in the settings at the end.

    Raises:
        DatabaseError: Another process does the same, or others never let go of a table; says who they are.
        sqlalchemy.exc.DBAPIError: PostgreSQL refused something else.
    """
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own, _alone(own, names):
        steps = plan_indexes(connection, names, profile)  # not on the other one, which can take nothing back
        changing = _Changing(own, names)
        for step in steps:
            yield step, len(steps)
            changing.take(step)
        set_indexes(own, names, profile)


class _Changing:
    def __init__(self, connection: sa.Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def take(self, step: Step) -> None:
        index = self._names.qualified(step.index)
        if step.action == "build":
            self._build(step, index)
        elif step.action == "define":
            name, logs = sql.Identifier(step.index).as_string(None), self._names.qualified(self._names.logs)
            self._soon(f"CREATE INDEX {name} ON ONLY {logs} USING {step.definition}")
        elif step.action == "set aside":
            self._soon(f"ALTER INDEX {index} RENAME TO {sql.Identifier(set_aside_name(step.index)).as_string(None)}")
        else:
            self._soon(f"DROP INDEX IF EXISTS {index}")

    def _build(self, step: Step, index: str) -> None:
        """Build a partition's part, unless an earlier run did, and attach it; what was not finished is thrown away."""
        partition = self._names.qualified(step.partition)
        try:
            for part in self._parts(step):
                if not part.valid:
                    self._execute(f"DROP INDEX CONCURRENTLY {self._names.qualified(part.name)}", LONG)
            if not self._parts(step):
                self._execute(f"CREATE INDEX CONCURRENTLY ON {partition} USING {step.definition}", LONG)
            for part in self._parts(step)[:1]:
                self._soon(f"ALTER INDEX {index} ATTACH PARTITION {self._names.qualified(part.name)}")
        except DBAPIError as error:
            if sqlstate_of(error) != _GONE:  # dropped by the retention meanwhile
                raise

    def _parts(self, step: Step) -> list[Index]:
        found = indexes_of(self._connection, self._names)
        return [
            part
            for part in found
            if part.table == step.partition and part.definition == step.definition and part.parent is None
        ]

    def _soon(self, statement: str) -> None:
        self._execute(statement, SHORT, SHORT_ATTEMPTS)

    def _execute(self, statement: str, lock_timeout: str, attempts: int = 1) -> None:
        self._connection.execute(sa.select(sa.func.set_config("lock_timeout", lock_timeout, False)))
        try:
            patient(attempts, wait_random(0.5, 1.5))(self._connection.execute, verbatim(statement))
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            pids = ", ".join(map(str, holders(self._connection, self._names.qualified(self._names.logs))))
            raise DatabaseError(
                f"the indexes of {self._names.logs} cannot be changed while others use it without a pause (server "
                f"processes: {pids or 'gone by now'}): run it again when their transactions are over"
            ) from None


@contextmanager
def _alone(connection: sa.Connection, names: Names) -> Iterator[None]:
    key = sa.func.hashtextextended(f"index {names.lock}", 0)
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
        raise DatabaseError(f"another process is changing the indexes of {names.logs} in the schema {names.schema}")
    try:
        yield
    finally:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))

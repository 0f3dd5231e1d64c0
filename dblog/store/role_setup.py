"""Setting up the roles on tables that may be written at the same time: in short steps, each with a short wait."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tenacity import wait_random

from dblog.errors import DatabaseError
from dblog.faults import describe, sqlstate_of
from dblog.store.engine import verbatim
from dblog.store.locks import patient
from dblog.store.names import Names
from dblog.store.quoting import quoted
from dblog.store.roles import Roles, function, granting, hand_over, making, parents

LOCK_TIMEOUT: Final = "300ms"
"""Another owner for a table keeps everybody out of it, so it may wait only for a moment, and tries again."""

LOCK_ATTEMPTS: Final = 20


def set_up_roles(connection: sa.Connection, names: Names, *, login: bool = False) -> Roles:
    """Make the roles that are missing, hand the tables to the owner, and give the others their rights and no more.

    Whoever owned the tables before becomes a member of the owner, so that nothing that runs loses its rights.

    Args:
        connection: A connection that is in no transaction; the tables must be there.
        names: The tables.
        login: Let the roles log in themselves; a role that may is never kept from it.

    Raises:
        DatabaseError: The role that asks may not do that, or others hold a table for too long.
    """
    roles = Roles.of(names)
    try:
        _require_createrole(connection, roles)
        _run(connection, *making(names, login=login))
        for partition in _foreign_partitions(connection, names, roles):
            _run(connection, *hand_over(roles.owner, [partition]))
        _run(connection, *_handing_over(connection, names, roles), *granting(names))
    except DBAPIError as error:
        if sqlstate_of(error) not in ("42501", "55P03"):
            raise
        raise DatabaseError(f"{_refused(connection, names)}: {describe(error)}") from None
    _require_rights(connection, names, roles)
    return roles


def _foreign_partitions(connection: sa.Connection, names: Names, roles: Roles) -> Sequence[str]:
    """The partitions that another role owns."""
    with connection.begin():
        return connection.execute(_FOREIGN_PARTITIONS, _asked(names, roles)).scalars().all()


def _handing_over(connection: sa.Connection, names: Names, roles: Roles) -> tuple[str, ...]:
    """What hands over the rest, at once: the function can attach only to tables of its own owner."""
    with connection.begin():
        before = connection.execute(_OWNERS_BEFORE, _asked(names, roles)).scalars().all()
        done = connection.scalar(_ALL_OWNED, _asked(names, roles))
    if done:
        return ()
    joined = (f"GRANT {quoted(roles.owner)} TO {quoted(role)}" for role in before)
    return (*joined, *hand_over(roles.owner, parents(names), names))


def _asked(names: Names, roles: Roles) -> dict[str, object]:
    return {"tables": list(parents(names)), "function": function(names), "owner": roles.owner}


_FOREIGN_PARTITIONS: Final = sa.text(
    r"""
    SELECT CAST(CAST(c.oid AS regclass) AS text)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = ANY (CAST(CAST(:tables AS text[]) AS regclass[]))
      AND pg_get_userbyid(c.relowner) <> :owner
    ORDER BY c.relname
    """
)

_OWNERS: Final = """
    SELECT relowner AS owner FROM pg_class WHERE oid = ANY (CAST(CAST(:tables AS text[]) AS regclass[]))
    UNION SELECT proowner FROM pg_proc WHERE oid = CAST(:function AS regprocedure)
"""

_OWNERS_BEFORE: Final = sa.text(
    f"""
    SELECT rolname FROM ({_OWNERS}) AS owners JOIN pg_roles r ON r.oid = owners.owner
    WHERE rolname <> :owner AND NOT rolsuper AND NOT pg_has_role(r.oid, CAST(:owner AS name), 'USAGE')
    """
)

_ALL_OWNED: Final = sa.text(f"SELECT bool_and(pg_get_userbyid(owner) = :owner) FROM ({_OWNERS}) AS owners")


def _run(connection: sa.Connection, *statements: str) -> None:
    """Run statements in one transaction, which gives up and tries again where others are in the way."""
    patient(LOCK_ATTEMPTS, wait_random(0.1, 0.5))(_try, connection, statements)


def _try(connection: sa.Connection, statements: tuple[str, ...]) -> None:
    with connection.begin():
        connection.execute(sa.select(sa.func.set_config("lock_timeout", LOCK_TIMEOUT, True)))
        key = sa.func.hashtextextended("dblog roles", 0)  # two at once would be refused as a concurrent update
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        for statement in statements:
            connection.execute(verbatim(statement))


def _require_createrole(connection: sa.Connection, roles: Roles) -> None:
    with connection.begin():
        lacking = connection.scalar(_MAY_NOT_MAKE_ROLES, {"roles": [roles.owner, roles.writer, roles.reader]})
    if lacking:
        raise DatabaseError(
            f"the role {lacking} cannot make roles: it lacks CREATEROLE. Grant it, or have somebody who may run the "
            "SQL that `dblog init --roles --sql` prints"
        )


_MAY_NOT_MAKE_ROLES: Final = sa.text(
    """
    SELECT rolname FROM pg_roles
    WHERE rolname = current_user AND NOT rolsuper AND NOT rolcreaterole
      AND EXISTS (SELECT FROM unnest(CAST(:roles AS text[])) AS wanted
                  WHERE wanted NOT IN (SELECT rolname FROM pg_roles))
    """
)


def _require_rights(connection: sa.Connection, names: Names, roles: Roles) -> None:
    """PostgreSQL only warns where somebody grants what is not theirs to grant."""
    asked = {"schema": names.schema, "owner": roles.owner, "writer": roles.writer, "reader": roles.reader}
    with connection.begin():
        granted = connection.scalar(_SCHEMA_RIGHTS, asked)
    if not granted:
        raise DatabaseError(f"{_refused(connection, names)}: it cannot grant the schema {names.schema}")


_SCHEMA_RIGHTS: Final = sa.text(
    """
    SELECT has_schema_privilege(:owner, oid, 'USAGE') AND has_schema_privilege(:owner, oid, 'CREATE')
       AND has_schema_privilege(:writer, oid, 'USAGE') AND has_schema_privilege(:reader, oid, 'USAGE')
    FROM pg_namespace WHERE nspname = :schema
    """
)


def _refused(connection: sa.Connection, names: Names) -> str:
    with connection.begin():
        role = connection.scalar(sa.select(sa.func.current_user()))
    return (
        f"the role {role} cannot set up the roles of the tables {names.prefix}_*; have somebody who may run the SQL "
        "that `dblog init --roles --sql` prints"
    )

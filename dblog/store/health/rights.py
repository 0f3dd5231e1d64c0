"""What the role may do, what everybody may, and whether one role owns everything."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from dblog.checks import Check, State
from dblog.store.health.subject import Subject, named, psql
from dblog.store.quoting import quoted
from dblog.store.roles import Roles, function, parents


def check_rights(subject: Subject) -> Iterator[Check]:
    """The rights of the role that asks; what a member of one of the roles needs not is no fault."""
    names = subject.names
    tables = f"{names.qualified(names.logs)}, {names.qualified(names.batches)}"
    roles = Roles.of(names)
    asked = {
        "logs": names.qualified(names.logs),
        "batches": names.qualified(names.batches),
        "function": function(names),
        "writer": roles.writer,
        "reader": roles.reader,
    }
    may = subject.connection.execute(_RIGHTS, asked).one()
    only_reads, only_writes = may.reader and not may.writer, may.writer and not may.reader
    write: State = "ok" if only_reads else "warning" if may.select else "error"
    make: State = "ok" if only_reads else "error" if may.insert else "warning"
    yield _right(subject.role, may.insert, "write", f"INSERT ON {tables}", write)
    yield _right(subject.role, may.select, "read", f"SELECT ON {tables}", "ok" if only_writes else "warning")
    yield _right(subject.role, may.execute, "make partitions", f"EXECUTE ON FUNCTION {function(names)}", make)


_RIGHTS: Final = sa.text(
    """
    SELECT has_table_privilege(:logs, 'INSERT') AND has_table_privilege(:batches, 'INSERT') AS insert,
           has_table_privilege(:logs, 'SELECT') AND has_table_privilege(:batches, 'SELECT') AS select,
           has_function_privilege(:function, 'EXECUTE') AS execute,
           coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = :writer), false) AS writer,
           coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = :reader), false) AS reader
    """
)


def _right(role: str, granted: bool, to: str, right: str, otherwise: State) -> Check:
    if granted:
        return Check(f"may {to}", "ok", f"the role {role} may {to}")
    if otherwise == "ok":
        return Check(f"may {to}", "ok", f"the role {role} may not {to}, and need not")
    return Check(f"may {to}", otherwise, f"the role {role} may not {to}", psql([f"GRANT {right} TO {role}"]))


def check_ownership(subject: Subject) -> Iterator[Check]:
    """Whether one role owns the tables and the function and may make partitions, and what everybody may."""
    asked = {"tables": list(parents(subject.names)), "function": function(subject.names)}
    owner, may_create = subject.connection.execute(_OWNER, {"logs": asked["tables"][0]}).one()
    strange = subject.connection.execute(_STRANGE, asked | {"owner": owner}).all()
    if strange:
        moved = [f"ALTER {row.kind} {row.name} OWNER TO {quoted(owner)}" for row in strange]
        finding = f"{named(row.name for row in strange)}: not owned by {owner}, who owns the records"
        yield Check("owner", "warning", finding, psql(moved))
    elif not may_create:
        schema = quoted(subject.names.schema)
        finding = f"{owner} owns the function that makes partitions and may not make tables in the schema"
        yield Check("owner", "error", finding, psql([f"GRANT CREATE, USAGE ON SCHEMA {schema} TO {quoted(owner)}"]))
    else:
        yield Check("owner", "ok", f"{owner} owns the tables")
    open_to_all = subject.connection.execute(_OPEN, asked | {"schema": subject.names.schema}).all()
    if open_to_all:
        revoked = [f"REVOKE {row.right} ON {row.kind} {row.name} FROM PUBLIC" for row in open_to_all]
        finding = "everybody may: " + named(f"{row.right} on {row.name}" for row in open_to_all)
        yield Check("open to everybody", "warning", finding, psql(revoked))


_OWNER: Final = sa.text(
    """
    SELECT pg_get_userbyid(relowner), has_schema_privilege(relowner, relnamespace, 'CREATE')
    FROM pg_class WHERE oid = to_regclass(:logs)
    """
)

_STRANGE: Final = sa.text(
    """
    WITH parents AS (SELECT unnest(CAST(CAST(:tables AS text[]) AS regclass[])) AS oid)
    SELECT 'TABLE' AS kind, format('%I.%I', nspname, relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE pg_get_userbyid(relowner) <> :owner
      AND (c.oid IN (SELECT oid FROM parents)
           OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM parents)))
    UNION ALL
    SELECT 'FUNCTION', CAST(:function AS text) FROM pg_proc
    WHERE oid = CAST(:function AS regprocedure) AND pg_get_userbyid(proowner) <> :owner
    ORDER BY name
    """
)

_OPEN: Final = sa.text(
    """
    SELECT 'SCHEMA' AS kind, quote_ident(nspname) AS name, privilege_type AS right
    FROM pg_namespace CROSS JOIN aclexplode(nspacl)
    WHERE nspname = :schema AND grantee = 0 AND privilege_type = 'CREATE'
    UNION ALL
    SELECT 'TABLE', format('%I.%I', nspname, relname), privilege_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace CROSS JOIN aclexplode(relacl)
    WHERE c.oid = ANY (CAST(CAST(:tables AS text[]) AS regclass[])) AND grantee = 0
      AND (privilege_type <> 'SELECT' OR relkind = 'p')
    UNION ALL
    SELECT 'FUNCTION', CAST(:function AS text), privilege_type
    FROM pg_proc CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner)))
    WHERE oid = CAST(:function AS regprocedure) AND grantee = 0
    """
)

"""The roles of an installation, as SQL: one owns the tables, one may only add to them, one may only read.

They are groups by default: whoever logs in is made a member of one. All of it can be run again at any time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dblog import defaults
from dblog.store.names import Names
from dblog.store.quoting import literal, quoted

KNOWN_BATCHES: Final = ("birth_day", "writer_id", "batch_seq", "rows_stored", "rows_rejected")
"""What a writer may read of the ledger: whether a batch that it sends again was stored whole."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of the three roles. They belong to the server: databases with the same prefix share them."""

    owner: str
    writer: str
    reader: str

    @classmethod
    def of(cls, names: Names) -> "Roles":
        """The roles of one prefix."""
        return cls(f"{names.prefix}_owner", f"{names.prefix}_writer", f"{names.prefix}_reader")


def roles_script(names: Names, *, login: bool = False) -> str:
    """The SQL that makes the roles of tables that are there, for whoever may run it.

    Args:
        names: The tables.
        login: Let the roles log in themselves.
    """
    steps = (*making(names, login=login), _hand_over_all(names), *granting(names))
    return "\n-- The roles.\n\nBEGIN;\n\n" + "".join(f"{step};\n\n" for step in steps) + "COMMIT;\n"


def making(names: Names, *, login: bool) -> tuple[str, ...]:
    """Make the roles that are missing, and let them into the schema."""
    roles = Roles.of(names)
    schema = quoted(names.schema)
    statements = [_make_role(roles.owner), _make_role(roles.writer), _make_role(roles.reader, _READER_SETTINGS)]
    if login:
        statements += [_let_log_in(role) for role in (roles.owner, roles.writer, roles.reader)]
    return (
        *statements,
        _join_owner(roles.owner),
        f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {quoted(roles.owner)}",
        f"GRANT USAGE ON SCHEMA {schema} TO {quoted(roles.writer)}, {quoted(roles.reader)}",
    )


# The settings of a group do nothing for its members; they are for a role that logs in itself.
_READER_SETTINGS: Final = (
    "SET default_transaction_read_only = on",
    f"SET statement_timeout = '{defaults.STATEMENT_TIMEOUT:.0f}s'",
)


def _make_role(role: str, settings: tuple[str, ...] = ()) -> str:
    more = "".join(f"\n            ALTER ROLE {quoted(role)} {setting};" for setting in settings)
    return f"""DO $dblog$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)}) THEN
        BEGIN
            CREATE ROLE {quoted(role)};{more}
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- somebody else makes it at this moment
        END;
    END IF;
END
$dblog$"""


def _let_log_in(role: str) -> str:
    return f"""DO $dblog$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)} AND NOT rolcanlogin) THEN
        ALTER ROLE {quoted(role)} LOGIN;
    END IF;
END
$dblog$"""


def _join_owner(owner: str) -> str:
    """Whoever is no superuser can hand tables only to a role of which it is a member."""
    return f"""DO $dblog$
BEGIN
    IF NOT pg_has_role(current_user, {literal(owner)}, 'USAGE') THEN
        GRANT {quoted(owner)} TO CURRENT_USER;
    END IF;
END
$dblog$"""


def parents(names: Names) -> tuple[str, ...]:
    """The tables that are no partitions, qualified: the records first, then the ledger."""
    tables = (names.logs, names.batches, names.settings, names.version_table)
    return tuple(names.qualified(table) for table in tables)


def function(names: Names) -> str:
    """The function that makes partitions, with its argument."""
    return f"{names.qualified(names.make_partition)}(timestamptz)"


def hand_over(owner: str, tables: Iterable[str], names: Names | None = None) -> tuple[str, ...]:
    """Give tables, qualified, to an owner; with `names` the function, too."""
    moved = tuple(f"ALTER TABLE {table} OWNER TO {quoted(owner)}" for table in tables)
    return moved if names is None else (*moved, f"ALTER FUNCTION {function(names)} OWNER TO {quoted(owner)}")


def _hand_over_all(names: Names) -> str:
    """Give away the parents, their partitions and the function, whichever there are when it is run."""
    owner = Roles.of(names).owner
    partitioned = ", ".join(map(literal, parents(names)[:2]))
    others = ";\n    ".join(hand_over(owner, parents(names), names))
    return f"""DO $dblog$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = ANY (ARRAY[{partitioned}]::regclass[]) LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', part, {literal(owner)});
    END LOOP;
    {others};
END
$dblog$"""


def granting(names: Names) -> tuple[str, ...]:
    """Give the writer and the reader their rights over the tables, and no more."""
    roles = Roles.of(names)
    writer, reader = quoted(roles.writer), quoted(roles.reader)
    logs, batches, *others = parents(names)
    known = ", ".join(map(quoted, KNOWN_BATCHES))
    return (
        f"REVOKE ALL ON {', '.join((logs, batches, *others))} FROM {writer}, {reader}",
        f"REVOKE ALL ON FUNCTION {function(names)} FROM PUBLIC, {reader}",
        f"GRANT INSERT ON {logs}, {batches} TO {writer}",
        f"GRANT SELECT ({known}) ON {batches} TO {writer}",
        f"GRANT EXECUTE ON FUNCTION {function(names)} TO {writer}",
        f"GRANT SELECT ON {logs}, {batches} TO {reader}",
    )

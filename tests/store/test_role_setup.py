"""`dblog init --roles`: making the roles, again and again, by whoever may, while others write."""

from collections.abc import Iterator

import psycopg
import pytest
from logins import PASSWORD, Installation, installation
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Databases

from dblog.cli.main import run
from dblog.errors import DatabaseError
from dblog.store import role_setup
from dblog.store.layout import Layout
from dblog.store.migrate import prepare
from dblog.store.roles import roles_script
from dblog.store.script import sql_script

RIGHTS = """
SELECT relname::text, pg_get_userbyid(relowner)::text, relacl::text FROM pg_class
WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p')
UNION ALL
SELECT attrelid::regclass::text, attname::text, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
UNION ALL
SELECT proname::text, pg_get_userbyid(proowner)::text, proacl::text FROM pg_proc
WHERE pronamespace = %(schema)s::regnamespace
UNION ALL
SELECT nspname::text, '', nspacl::text FROM pg_namespace WHERE oid = %(schema)s::regnamespace
UNION ALL
SELECT rolname::text, rolcanlogin::text, rolconfig::text FROM pg_roles WHERE starts_with(rolname, %(prefix)s)
ORDER BY 1, 2, 3
"""


@pytest.fixture
def fresh(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """A database in which nothing is installed; a test may choose the schema."""
    with installation(databases, getattr(request, "param", "Log Schema")) as found:
        yield found


IN_PUBLIC = pytest.mark.parametrize("fresh", ["public"], indirect=True)


def rights(found: Installation) -> list[tuple[object, ...]]:
    """Everything that the catalogue knows of owners, rights and roles."""
    asked = {"schema": f'"{found.names.schema}"', "prefix": found.names.prefix}
    with found.database.connect() as owner:
        parts = f"FROM pg_class WHERE relispartition AND pg_get_userbyid(relowner) <> '{found.roles.owner}'"
        assert owner.execute(f"SELECT count(*) {parts}".encode()).fetchone() == (0,)
        return owner.execute(RIGHTS.replace("attrelid::regclass::text", "'-'"), asked).fetchall()


def test_a_second_time_changes_nothing(fresh: Installation) -> None:
    """The roles can be set up again; only what somebody granted beyond is taken back."""
    fresh.set_up()
    before = rights(fresh)
    with fresh.database.connect() as owner:
        owner.execute(f'GRANT SELECT, DELETE ON {fresh.places()["logs"]} TO "{fresh.roles.writer}"'.encode())
    fresh.set_up()
    assert rights(fresh) == before


@IN_PUBLIC
def test_the_script_does_the_same(fresh: Installation) -> None:
    """The SQL that is printed leaves nothing to do for the command, and can be run twice."""
    layout = Layout(fresh.names, "day", "standard")
    with fresh.database.connect() as owner:
        owner.execute(sql_script(layout, 2).encode())
        for _ in range(2):
            owner.execute(roles_script(fresh.names).encode())
        owner.execute("SELECT FROM pg_roles")
    before = rights(fresh)
    fresh.set_up()
    assert rights(fresh) == before


def test_roles_that_log_in_have_their_limits(fresh: Installation) -> None:
    """With `--login` a reader's session is read-only and has a time limit for each statement from the start."""
    fresh.set_up(login=True)
    with fresh.database.connect() as owner:
        owner.execute(f"ALTER ROLE \"{fresh.roles.reader}\" PASSWORD '{PASSWORD}'".encode())
    dsn = make_conninfo(fresh.database.dsn, user=fresh.roles.reader, password=PASSWORD)
    with psycopg.connect(dsn, autocommit=True) as reader:
        assert reader.execute("SHOW statement_timeout").fetchone() == ("30s",)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TEMPORARY TABLE mine (x integer); INSERT INTO mine VALUES (1)")


@IN_PUBLIC
def test_an_administrator_need_not_be_superuser(fresh: Installation) -> None:
    """CREATEROLE and a schema are enough, as on managed servers; the administrator then may keep the tables."""
    admin = admin_of(fresh, "CREATEROLE")
    fresh.set_up(admin)
    fresh.set_up(admin)
    with psycopg.connect(admin, autocommit=True) as session:
        session.execute(f"SELECT {fresh.places()['function']}(now() - interval '90 days')".encode())
        session.execute(f"DROP TABLE {fresh.places()['logs']}".encode())


def test_who_may_not_make_roles_is_told_so(fresh: Installation) -> None:
    """Without CREATEROLE one line says what is lacking, and the tables are there nevertheless."""
    admin = admin_of(fresh, "NOCREATEROLE")
    with pytest.raises(DatabaseError, match="lacks CREATEROLE"):
        fresh.set_up(admin)
    with fresh.database.connect() as owner:
        owner.execute(f"SELECT FROM {fresh.places()['logs']}".encode())


def test_whoever_owned_the_tables_goes_on_writing(fresh: Installation) -> None:
    """An application that owned its tables keeps its rights when somebody else sets up the roles."""
    application = admin_of(fresh, "NOCREATEROLE")
    with psycopg.connect(application, autocommit=True) as session:
        prepare(
            session,
            schema=fresh.names.schema,
            table_prefix=fresh.names.prefix,
            partition_by="day",
            indexes="standard",
            partitions_ahead=2,
        )
    fresh.set_up()
    with psycopg.connect(application, autocommit=True) as session:
        session.execute(f"DELETE FROM {fresh.places()['logs']}".encode())


def test_a_table_in_use_is_waited_for_in_short_turns(fresh: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer's open transaction puts the change off; nothing is half done then, and later it works."""
    monkeypatch.setattr(role_setup, "LOCK_ATTEMPTS", 1)
    with fresh.database.connect() as owner:
        prepare(
            owner,
            schema=fresh.names.schema,
            table_prefix=fresh.names.prefix,
            partition_by="day",
            indexes="standard",
            partitions_ahead=2,
        )
        with owner.transaction():
            owner.execute(f"LOCK TABLE {fresh.places()['logs']} IN ROW EXCLUSIVE MODE".encode())
            with pytest.raises(DatabaseError, match="a lock could not be had in time"):
                fresh.set_up()
    fresh.set_up()
    rights(fresh)


def test_the_command_makes_and_prints_roles(
    fresh: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`dblog init --roles` says which role is for what; with `--sql` the statements are printed instead."""
    monkeypatch.setenv("DBLOG_DATABASE__SCHEMA", fresh.names.schema)
    monkeypatch.setenv("DBLOG_DATABASE__TABLE_PREFIX", fresh.names.prefix)
    assert run(["init", "--roles", "--sql", "--dsn", fresh.database.dsn]) == 0
    assert f'CREATE ROLE "{fresh.roles.reader}"' in capsys.readouterr().out
    assert run(["init", "--roles", "--login", "--dsn", fresh.database.dsn]) == 0
    assert f"{fresh.roles.writer} adds to them" in capsys.readouterr().out
    assert run(["init", "--login", "--dsn", fresh.database.dsn]) == 2
    assert "--roles" in capsys.readouterr().err


def admin_of(found: Installation, right: str) -> str:
    """The connection string of a role that may make tables, and has one more right."""
    name = sql.Identifier(found.member("admin"))
    schema = sql.Identifier(found.names.schema)
    with found.database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(name, sql.SQL(right), PASSWORD))
        owner.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        owner.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {} WITH GRANT OPTION").format(schema, name))
    return found.login("admin")

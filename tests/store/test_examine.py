"""The checks behind `dblog doctor`."""

import shlex

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.checks import Check, worst
from dblog.config import load_settings
from dblog.store import migrate
from dblog.store.health.examination import examine


def by_name(database: Database, **more: object) -> dict[str, Check]:
    """The checks of a database."""
    checks = examine(load_settings({"database": {"dsn": database.dsn, **more}}))
    return {check.name: check for check in checks}


def test_a_healthy_database_has_nothing_to_mend(database: Database) -> None:
    """Freshly made tables pass every check, and no check has a remedy."""
    checks = by_name(database)
    assert worst(tuple(checks.values())) == "ok"
    assert not [check for check in checks.values() if check.remedy]
    assert set(checks) == {
        "reachable", "version", "migrated", "may write", "may read", "may make partitions", "owner", "partitions ahead",
        "size", "retention", "bloat", "indexes", "clock"
    }  # fmt: skip


def test_a_server_that_is_away_ends_the_checks(database: Database) -> None:
    """Without a connection there is one finding, an error."""
    (check,) = examine(load_settings({}, dsn=make_conninfo(database.dsn, port=1)))
    assert (check.name, check.state) == ("reachable", "error")


def test_missing_tables_are_an_error(empty_database: Database) -> None:
    """Without tables the remedy is `dblog init`."""
    check = by_name(empty_database)["migrated"]
    assert (check.state, check.remedy) == ("error", "dblog init")


def test_an_old_server_is_an_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server older than supported is named before anything else of it is looked at."""
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 99_00_00)
    checks = by_name(database)
    assert checks["version"].state == "error"
    assert "migrated" not in checks


def test_missing_partitions_are_a_warning(database: Database) -> None:
    """Fewer partitions ahead than configured are counted, and `dblog init` makes them."""
    check = by_name(database, partitions_ahead=9)["partitions ahead"]
    assert (check.state, check.finding, check.remedy) == ("warning", "2 are missing", "dblog init")


def test_a_default_partition_is_a_warning_with_its_remedy(database: Database) -> None:
    """A DEFAULT partition is found, and the command that is shown takes it away."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE rest PARTITION OF dblog_logs DEFAULT")
        check = by_name(database)["default partition"]
        assert check.state == "warning"
        assert check.remedy
        connection.execute(shlex.split(check.remedy)[-1].encode())
    assert "default partition" not in by_name(database)


def test_a_half_detached_partition_is_a_warning(database: Database) -> None:
    """A detach that was interrupted is found, and `dblog prune` is named to finish it."""
    with database.connect() as connection, database.connect() as reader:
        name = connection.execute("SELECT dblog_make_partition(now() - interval '80 days')").fetchall()[0][0]
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            connection.execute("SET lock_timeout = '20ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(
                    sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {} CONCURRENTLY").format(sql.Identifier(name))
                )
    check = by_name(database)["detaching"]
    assert (check.state, check.remedy) == ("warning", "dblog prune")
    assert name in check.finding


@pytest.mark.parametrize(
    ("grants", "states"),
    [
        ((), ("error", "warning", "warning")),
        (("SELECT ON dblog_logs, dblog_batches",), ("warning", "ok", "warning")),
        (("INSERT ON dblog_logs, dblog_batches",), ("ok", "warning", "error")),
        (
            ("INSERT ON dblog_logs, dblog_batches", "EXECUTE ON FUNCTION dblog_make_partition(timestamptz)"),
            ("ok", "warning", "ok"),
        ),
    ],
)
def test_the_rights_of_the_role_are_checked(
    database: Database, grants: tuple[str, ...], states: tuple[str, str, str]
) -> None:
    """A right that is missing is an error where the role cannot do its work without it, and the GRANT is shown."""
    role = sql.Identifier(f"{database.name} role")
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(role))
        try:
            for grant in grants:
                owner.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(grant), role))
            options = f"-c role='{database.name}\\ role'"
            checks = by_name(database, dsn=make_conninfo(database.dsn, options=options.replace("'", "")))
            found = [checks[f"may {to}"] for to in ("write", "read", "make partitions")]
            assert tuple(check.state for check in found) == states
            for check in found:
                if check.remedy:
                    owner.execute(shlex.split(check.remedy)[-1].encode())
            checks = by_name(database, dsn=make_conninfo(database.dsn, options=options.replace("'", "")))
            assert worst(tuple(checks.values())) == "ok"
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))


def test_a_role_that_may_not_look_into_the_schema_is_told_so(database: Database) -> None:
    """Without USAGE on the schema nothing else can be checked, and the finding says what to grant."""
    role = sql.Identifier(f"{database.name}_stranger")
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA private")
        owner.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            dsn = make_conninfo(database.dsn, options=f"-c role={database.name}_stranger")
            check = by_name(database, dsn=dsn, schema="private")["usable"]
        finally:
            owner.execute(sql.SQL("DROP ROLE {}").format(role))
    assert check.state == "error"
    assert "lacks USAGE on the schema private" in check.finding

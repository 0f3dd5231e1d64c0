"""What `dblog doctor` says about how the tables are kept; each command that it shows mends what it was shown for."""

import shlex
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from records import at, insert
from retained import detach, log
from servers import Database

from dblog.checks import Check
from dblog.cli.main import run
from dblog.config import load_settings
from dblog.store.health import care, clocks, examination, indexes


def examined(database: Database, **keeping: Any) -> dict[str, Check]:
    """The checks of a database, by name."""
    settings = load_settings({"logging": {"database": keeping}}, dsn=database.dsn)
    return {check.name: check for check in examination.examine(settings)}


def mend(database: Database, check: Check) -> None:
    """Run the command that a check shows."""
    assert check.remedy is not None
    program, *words = shlex.split(check.remedy)
    if program == "dblog":
        assert run([*words, "--dsn", database.dsn]) == 0
        return
    with database.connect() as connection:
        for statement in words[1::2]:
            connection.execute(statement.encode())


def mended(database: Database, name: str, **keeping: Any) -> str:
    """Find that something is wrong, mend it, and find that it is not any more; returns what was found."""
    check = examined(database, **keeping)[name]
    assert check.state == "warning"
    mend(database, check)
    after = examined(database, **keeping).get(name)
    assert after is None or after.state == "ok", after
    return check.finding


def execute(database: Database, *statements: str) -> list[Any]:
    """Run statements; the rows of the last."""
    with database.connect() as connection:
        rows: list[Any] = []
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        return rows


def test_what_somebody_else_attached_is_found(database: Database) -> None:
    """A partition without dblog's mark would never expire: it is named, and handed over."""
    execute(
        database, "CREATE TABLE \"Other's\" PARTITION OF dblog_logs FOR VALUES FROM ('2001-01-01') TO ('2001-01-02')"
    )
    assert "Other's" in mended(database, "foreign partition")
    execute(database, 'DROP TABLE "Other\'s"')


def test_what_somebody_attached_from_another_schema_is_taken_out(database: Database) -> None:
    """A partition elsewhere cannot become dblog's: the command detaches it."""
    execute(
        database,
        "CREATE SCHEMA other",
        "CREATE TABLE other.part PARTITION OF dblog_logs FOR VALUES FROM ('2001-01-01') TO ('2001-01-02')",
    )
    assert "takes it out" in mended(database, "foreign partition")


def test_tables_that_only_look_like_partitions_are_found(database: Database) -> None:
    """A table with the name of a partition that is none is named, and keeps its rows under another name."""
    execute(database, "CREATE TABLE dblog_logs_p20010101 AS SELECT 1 AS x")
    assert "public.dblog_logs_p20010101" in mended(database, "table beside")
    assert execute(database, "SELECT x FROM kept_dblog_logs_p20010101") == [(1,)]


def test_another_owner_is_found(database: Database) -> None:
    """Where one role owns the table and another one a partition, nobody can keep both."""
    role = f"{database.name}_other"
    execute(database, f"CREATE ROLE {role}", f"ALTER TABLE dblog_settings OWNER TO {role}")
    try:
        assert "public.dblog_settings" in mended(database, "owner")
    finally:
        execute(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_an_owner_who_may_not_make_tables_is_an_error(database: Database) -> None:
    """The function that makes partitions acts as the owner, who needs the right to do so."""
    role = f"{database.name}_poor"
    execute(
        database,
        f"CREATE ROLE {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        f"ALTER TABLE dblog_logs OWNER TO {role}",
    )
    try:
        mend(database, examined(database)["owner"])
        execute(database, f"REVOKE CREATE ON SCHEMA public FROM {role}")
        check = examined(database)["owner"]
        assert check.state == "error"
        mend(database, check)
        assert examined(database)["owner"].state == "ok"
    finally:
        execute(database, f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_rights_of_everybody_are_found(database: Database) -> None:
    """What PUBLIC may, as in databases of old servers where everybody makes tables in `public`, is taken back."""
    execute(
        database,
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT SELECT ON dblog_logs TO PUBLIC",
        "GRANT UPDATE ON dblog_settings TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION dblog_make_partition(timestamptz) TO PUBLIC",
    )
    finding = mended(database, "open to everybody")
    assert "CREATE on public" in finding
    assert "EXECUTE on public.dblog_make_partition" in finding.replace('"', "")


def old_partitions(database: Database, *days: int) -> None:
    """Make the partitions of days in the past."""
    execute(database, *(f"SELECT dblog_make_partition(now() - interval '{day} days')" for day in days))


def test_an_overdue_retention_is_found(database: Database) -> None:
    """A partition that should have gone days ago is named with `dblog prune`; one of yesterday is not yet."""
    old_partitions(database, 370)
    assert "overdue" in mended(database, "retention")
    old_partitions(database, 367)
    assert examined(database)["retention"].state == "ok"


def test_a_refused_retention_is_found(database: Database) -> None:
    """Where the guard would refuse, the command that is shown is the one that does it nevertheless."""
    old_partitions(database, *range(380, 392))
    assert "more than half" in mended(database, "retention")


def test_a_limit_that_is_exceeded_is_found(database: Database) -> None:
    """A size above the limit is a warning; below it the finding says when it is reached."""
    assert examined(database, max_bytes=1)["size"].state == "warning"
    check = examined(database, max_bytes=10**12)["size"]
    assert (check.state, "limit of 1.0 TB" in check.finding) == ("ok", True)


def test_dead_rows_are_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition in which most rows are dead is named, and vacuumed."""
    monkeypatch.setattr(care, "DEAD_ROWS", 5)
    with database.connect() as connection:
        insert(connection, *({"message": str(number)} for number in range(20)))
        connection.execute("DELETE FROM dblog_logs")
        connection.execute("SELECT pg_stat_force_next_flush()")
    assert "20 in public.dblog_logs_p" in mended(database, "bloat")


def test_missing_and_broken_indexes_are_found(database: Database) -> None:
    """An index of the profile that is not there is named; one whose build was cut short is built again."""
    execute(database, "DROP INDEX dblog_logs_by_logger")
    check = examined(database)["indexes"]
    assert (check.state, check.finding) == ("warning", "dblog_logs_by_logger: missing")
    assert check.remedy == "dblog init --indexes standard"
    execute(database, "CREATE INDEX dblog_logs_by_logger ON ONLY dblog_logs (logger_name, timestamp)")
    assert examined(database)["indexes"].finding == "public.dblog_logs_by_logger: not there for all partitions"
    execute(database, "DROP INDEX dblog_logs_by_logger", "CREATE INDEX dblog_logs_by_logger ON dblog_logs (lineno)")
    with database.connect() as connection:
        insert(connection, {}, {})
        part = connection.execute("SELECT tableoid::regclass::text FROM dblog_logs").fetchall()[0][0]
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY cut_short ON {part} (level)".encode())
        connection.execute("DELETE FROM dblog_logs")
    assert "public.cut_short: broken" in mended(database, "indexes")


def test_an_index_that_nobody_uses_is_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that somebody added and nobody used for long is named; those of the profile are not."""
    execute(database, "CREATE INDEX added ON dblog_logs (lineno)")
    assert "unused index" not in examined(database)
    monkeypatch.setattr(indexes, "UNUSED_FOR", timedelta(0))
    assert "public.added" in mended(database, "unused index")


def test_clocks_that_differ_are_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is wrong is told so, and so is one whose records come from the future."""
    with database.connect() as connection:
        insert(connection, {"timestamp": at(hours=-1), "hostname": "web-7"})
    check = examined(database)["clocks of the records"]
    assert (check.state, "web-7" in check.finding) == ("warning", True)

    monkeypatch.setattr(clocks, "server_now", lambda _: at(minutes=-5))
    assert examined(database)["clock"].finding.startswith("this host is 300 s behind the server")


def test_a_detached_expired_table_is_found(database: Database) -> None:
    """What an interrupted run left behind is named, and the next run drops it."""
    old_partitions(database, 90)
    name = execute(database, "SELECT dblog_make_partition(now() - interval '90 days')")[0][0]
    execute(
        database,
        f"COMMENT ON TABLE {name} IS 'dblog partition of public.dblog_logs, expired'",
        f"ALTER TABLE dblog_logs DETACH PARTITION {name}",
    )
    assert name in mended(database, "expired tables")
    with pytest.raises(psycopg.errors.UndefinedTable):
        execute(database, f"SELECT FROM {name}")


def test_what_is_to_be_archived_first_is_not_to_be_lost(database: Database) -> None:
    """Where a table is to be archived before it is dropped, no command that is shown drops it without an archive."""
    with database.connect() as connection:
        name = log(connection, 370, (20, "app"))
        log(connection, 30, (20, "app"))
        detach(connection, name, "dblog partition of public.dblog_logs, expired, to be archived")
    old_partitions(database, 380)
    found = examined(database)
    assert f"to be archived first: {name}" in found["expired tables"].finding
    assert found["expired tables"].remedy == "dblog prune --archive URL"
    assert found["retention"].remedy == "dblog prune --force --archive URL"
    configured = examined(database, archive="/nowhere")
    assert [configured[check].remedy for check in ("expired tables", "retention")] == [
        "dblog prune",
        "dblog prune --force",
    ]

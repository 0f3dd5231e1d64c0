"""`dblog init`."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from servers import Database
from upgraded import make_revision

from dblog.cli.main import run


def stored(database: Database) -> dict[str, str]:
    """What the database remembers of its layout."""
    with database.connect() as connection:
        rows = connection.execute("SELECT name, value FROM dblog_settings WHERE name IN ('partition_by', 'indexes')")
        return dict(rows.fetchall())


def test_init_makes_the_tables(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The tables and a week of partitions are there, and the one line of output says so."""
    assert run(["init", "--dsn", empty_database.dsn]) == 0
    assert capsys.readouterr().out == (
        "dblog_* in the schema public: now at revision 0002; partitions by day, 8 made; indexes: standard\n"
    )
    with empty_database.connect() as connection:
        connection.execute("SELECT FROM dblog_logs, dblog_batches")


def test_init_may_be_run_again(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run finds everything up to date."""
    assert run(["init", "--dsn", database.dsn]) == 0
    assert capsys.readouterr().out == (
        "dblog_* in the schema public: up to date; partitions by day, 0 made; indexes: standard\n"
    )


def test_init_takes_the_layout_from_the_configuration(empty_database: Database, tmp_path: Path) -> None:
    """Schema, prefix, granularity and indexes of `config.yml` are those of the tables."""
    path = tmp_path / "config.yml"
    section = {"dsn": empty_database.dsn, "schema": "Logs", "table_prefix": "shop"}
    path.write_text(yaml.safe_dump({"database": {**section, "partition_by": "week", "indexes": "minimal"}}))
    assert run(["init", "--config", str(path)]) == 0
    with empty_database.connect() as connection:
        found = connection.execute('SELECT name, value FROM "Logs".shop_settings').fetchall()
    assert {("partition_by", "week"), ("indexes", "minimal")} <= set(found)


def test_the_command_line_is_stronger_than_the_configuration(empty_database: Database) -> None:
    """`--partition-by` and `--indexes` decide about new tables."""
    assert run(["init", "--dsn", empty_database.dsn, "--partition-by", "month", "--indexes", "full"]) == 0
    assert stored(empty_database) == {"partition_by": "month", "indexes": "full"}


def test_the_granularity_of_new_partitions_can_be_changed(database: Database) -> None:
    """On existing tables `--partition-by` holds for partitions made from now on; without it nothing changes."""
    assert run(["init", "--dsn", database.dsn, "--partition-by", "hour"]) == 0
    assert stored(database)["partition_by"] == "hour"
    assert run(["init", "--dsn", database.dsn]) == 0
    assert stored(database)["partition_by"] == "hour"


def test_the_indexes_of_existing_tables_are_changed(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Another index profile for tables that are there builds what is missing and drops what it does not have."""
    assert run(["init", "--dsn", database.dsn, "--indexes", "minimal"]) == 0
    assert capsys.readouterr().out.endswith("indexes: minimal\n")
    assert stored(database) == {"partition_by": "day", "indexes": "minimal"}
    with database.connect() as connection:
        found = connection.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'dblog_logs'::regclass").fetchone()
    assert found == (1,)


def test_sql_is_printed_and_not_run(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--sql` prints what makes the tables, for the schema that the role would use, and touches nothing."""
    with empty_database.connect() as connection:
        assert run(["init", "--sql", "--dsn", empty_database.dsn, "--partition-by", "hour"]) == 0
        script, complaints = capsys.readouterr()
        assert complaints == ""
        assert connection.execute("SELECT to_regclass('public.dblog_logs')").fetchone() == (None,)
        connection.execute(script.encode())
    assert stored(empty_database) == {"partition_by": "hour", "indexes": "standard"}


def test_sql_for_an_upgrade_is_printed(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--from-revision` the SQL brings tables of that revision to the present one, and can be run once."""
    make_revision(empty_database, "0001")
    assert run(["init", "--sql", "--from-revision", "0001", "--dsn", empty_database.dsn]) == 0
    with empty_database.connect() as connection:
        connection.execute(capsys.readouterr().out.encode())
    assert run(["init", "--dsn", empty_database.dsn]) == 0
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--from-revision", "0001"], "--sql: give both"), (["--sql", "--from-revision", "12"], "accepted: 0001, 0002")],
)
def test_a_revision_that_says_nothing_is_refused(
    database: Database, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """A revision without `--sql`, or one that never was, is refused with what is accepted."""
    assert run(["init", "--dsn", database.dsn, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_sql_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a connection the SQL is for the schema public, and a note on stderr says so."""
    assert run(["init", "--sql", "--dsn", "host=127.0.0.1 port=1"]) == 0
    script, note = capsys.readouterr()
    assert "CREATE TABLE public.dblog_logs" in script
    assert "schema public" in note


def test_init_waits_for_a_server_that_starts_late(empty_database: Database) -> None:
    """With `--wait` the server may come up after the command."""
    target = conninfo_to_dict(empty_database.dsn)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, ThreadPoolExecutor(1) as pool:
        refusals = pool.submit(refuse_then_forward, listener, (str(target["host"]), int(str(target["port"]))))
        late = make_conninfo(empty_database.dsn, host="127.0.0.1", port=listener.getsockname()[1], sslmode="disable")
        assert run(["init", "--dsn", late, "--wait", "60"]) == 0
        assert refusals.result(10) == 2
    assert stored(empty_database)


def refuse_then_forward(listener: socket.socket, target: tuple[str, int]) -> int:
    """Hang up on two clients, then be the server for the third; returns how many were refused."""
    for _ in range(2):
        listener.accept()[0].close()
    client, _ = listener.accept()
    with client, socket.create_connection(target) as server, ThreadPoolExecutor(1) as pool:
        back = pool.submit(pump, server, client)
        pump(client, server)
        back.result(10)
    return 2


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass everything on until the source ends."""
    while data := source.recv(65_536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def test_without_wait_a_missing_server_is_an_error_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """No server: one line on stderr and exit code 1."""
    assert run(["init", "--dsn", "host=127.0.0.1 port=1"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dblog: error: PostgreSQL at 127.0.0.1:1")
    assert err.count("\n") == 1


def test_sql_needs_no_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`dblog init --sql` prints the SQL where nothing says where a database is; it is for the schema public then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGHOST", "")
    assert run(["init", "--sql"]) == 0
    printed = capfd.readouterr()
    assert "CREATE TABLE public.dblog_logs" in printed.out
    assert "schema public" in printed.err

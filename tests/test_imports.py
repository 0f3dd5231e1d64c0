"""What is loaded, and when: a program that logs pays for the handler alone, a command for what it does."""

import subprocess
import sys
from pathlib import Path

import pytest
from servers import Database

TOP = Path(__file__).parent.parent

STANDARD = "atexit, contextlib, errno, logging, select, threading, time, typing, weakref"
"""What of the standard library `import dblog` may load, each with what it loads itself."""

FRONT = {"defaults", "errors", "handler", "manager", "processes", "selflog"}
"""The modules of dblog that come with `import dblog`."""

PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
WRITING = {"dblog", "psycopg", "psycopg_binary", *PYDANTIC}
"""What a handler loads beside the standard library."""

READING = {*WRITING, "click", "sqlalchemy"}
"""What `dblog query` loads beside the standard library."""


def loaded_by(code: str, *, cwd: Path = TOP) -> set[str]:
    """The modules that an interpreter of its own has loaded after a piece of Python, but for what it always loads."""
    always, after = (
        subprocess.run(
            [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
            check=True,
            capture_output=True,
            text=True,
            cwd=cwd,
        )
        .stdout.splitlines()[-1]
        .split()
        for program in ("pass", code)
    )
    return set(after) - set(always)


def run_command(*arguments: str) -> str:
    """Python that runs a command line of dblog in its own process."""
    return f"from dblog.cli.main import run; assert run({list(arguments)!r}) == 0"


def foreign(modules: set[str]) -> set[str]:
    """The packages of others among modules, without the private parts that some of them have beside themselves."""
    packages = {name.partition(".")[0] for name in modules}
    return {name for name in packages - set(sys.stdlib_module_names) if not name.startswith(("_", "cython_"))}


def test_importing_it_loads_nothing_that_logging_does_not_need() -> None:
    """`import dblog` loads six modules of its own and a handful of the standard library: not even dataclasses."""
    loaded = loaded_by("import dblog")
    assert {name for name in loaded if name.startswith("dblog.")} == {f"dblog.{name}" for name in FRONT}
    assert {name for name in loaded if not name.startswith("dblog")} <= loaded_by(f"import {STANDARD}")


def test_a_handler_needs_neither_sqlalchemy_nor_the_command_line(database: Database) -> None:
    """A handler that finds its tables delivers without loading what makes and reads them, nor a parser of YAML."""
    loaded = loaded_by(
        "import dblog, logging\n"
        f"handler = dblog.DatabaseLogHandler({database.dsn!r}, close_timeout=60)\n"
        "logging.getLogger('light').addHandler(handler)\n"
        "logging.getLogger('light').warning('here')\n"
        "handler.close()\n"
    )
    assert foreign(loaded) <= {*WRITING, "dblog_speedups"}
    assert not [name for name in loaded if name.startswith(("dblog.cli", "dblog.store", "dblog.reading"))]
    with database.connect() as connection:
        assert connection.execute("SELECT message FROM dblog_logs").fetchall() == [("here",)]


def test_the_version_loads_the_parser_of_the_command_line_alone() -> None:
    """`dblog --version` answers without the driver, without SQLAlchemy and without any settings."""
    loaded = loaded_by(run_command("--version"))
    assert foreign(loaded) == {"dblog", "click"}
    assert {name for name in loaded if name.startswith("dblog.cli.")} == {"dblog.cli.main"}


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_query_loads_what_it_asks_with(database: Database, form: str, tmp_path: Path) -> None:
    """`dblog query` loads neither the migrations nor the writing side, nor what draws tables or reads YAML."""
    loaded = loaded_by(run_command("query", "--dsn", database.dsn, "-o", form), cwd=tmp_path)
    assert foreign(loaded) <= READING
    sides = ("dblog.writing", "dblog.sinks", "dblog.archive", "dblog.store.migrate", "dblog.store.retention")
    assert not [name for name in loaded if name.startswith(sides)]

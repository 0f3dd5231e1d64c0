"""Every document is walked through from top to bottom: its files are written, its programs and commands are run.

What a console block shows has to come, in this order, but for times, numbers of processes and the like.
"""

import contextlib
import io
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from documents import DOCS, OWNER, PLACE, TOP, Block, blocks_of, documents, localized
from programs import TIMEOUT
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from servers import Database

from dblog.cli.main import COMMANDS, run
from dblog.cli.main import dblog as entry
from dblog.config import load_settings

BY_THEMSELVES = (DOCS / "cookbook.md",)
"""Documents with a test of their own."""
WALKED = [path for path in documents() if path not in BY_THEMSELVES]
ROLES = ("shop_keeper", "shop_writer", "shop_reader", "other_writer", "other_reader")
MADE_BY_INIT = ("dblog_owner", "dblog_writer", "dblog_reader")

_CREATED = re.compile(r"CREATE ROLE (\w+)")


@pytest.mark.usefixtures("in_utc")
@pytest.mark.parametrize("path", WALKED, ids=lambda path: str(path.relative_to(TOP)))
def test_document(path: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, programs, statements and commands of the document do what it says."""
    blocks = [block for block in blocks_of(path) if "not run" not in block.marks]
    makes_tables = any(word in block.text for block in blocks for word in ("$ dblog init", "$ alembic"))
    database: Database = request.getfixturevalue("empty_database" if makes_tables else "database")
    walk = Walk(tmp_path, database, monkeypatch)
    if path.name == "README.md" and path.parent == TOP:  # its configuration names a host and a password of its own
        monkeypatch.setenv("DBLOG_DSN", database.dsn)
    try:
        for block in blocks:
            walk.step(block)
    finally:
        walk.drop_roles()


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(TOP)))
def test_shown_commands_parse(path: Path) -> None:
    """What cannot be run is at least right: commands have the options that `dblog` knows, and YAML is YAML."""
    for block in blocks_of(path):
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.text), dict), block
        if block.language in ("sh", "ini", "crontab"):
            for arguments in commands_in(block):
                assert_parses(arguments, block)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    """Links between documents name a file, and a heading in it, that are there."""
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


def test_variables_name_settings() -> None:
    """Every `DBLOG_` variable with a path in it names a setting."""
    named = {found for path in documents() for found in re.findall(r"DBLOG_\w*__\w+", path.read_text(encoding="utf-8"))}
    known = set(variables(load_settings({"logging": {"database": {"enabled": False}}})))
    assert named
    assert {name for name in named if not name.startswith("DBLOG_LOGGING__COMPONENTS__")} <= known


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time zone is UTC, as in the documents."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


class Walk:
    """One reader with a folder, a database, and what the document has brought about so far."""

    def __init__(self, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._database = database
        self._suffix = secrets.token_hex(4)
        self._printed = ""
        self._roles: list[str] = []
        self._known = {key: str(value) for key, value in conninfo_to_dict(database.dsn).items() if value is not None}
        for variable, key in (("PGHOST", "host"), ("PGPORT", "port"), ("PGUSER", "user"), ("PGPASSWORD", "password")):
            if key in self._known:
                monkeypatch.setenv(variable, self._known[key])
        monkeypatch.setenv("PGDATABASE", database.name)
        monkeypatch.setenv("PYTHONPATH", str(TOP))
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.chdir(folder)

    def step(self, block: Block) -> None:
        """Do what a block says."""
        text = self._put_in_place(block.text)
        name = block.mark("file")
        if name:
            (self._folder / name).write_text(text, encoding="utf-8")
        if block.language == "yaml":
            self._configure(text, name)
        elif block.language == "python" and not name:
            self._run_program(text, block)
        elif block.language == "sql":
            self._execute(text)
        elif block.language == "console":
            self._follow(text, block)
        elif "output" in block.marks:
            self._compare(text.splitlines(), self._printed, block)

    def drop_roles(self) -> None:
        """Take away what belongs to the server and not to the database."""
        with self._database.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
            for role in map(sql.Identifier, [*self._roles, *(known & {*MADE_BY_INIT})]):
                connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
                connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def _put_in_place(self, text: str) -> str:
        for role in ROLES:
            text = text.replace(role, f"{role}_{self._suffix}")
        return localized(text, self._database.dsn)

    def _configure(self, text: str, name: str | None) -> None:
        tree = yaml.safe_load(text)
        if not name and tree.keys() <= {"logging", "database"}:
            load_settings(tree)
            (self._folder / "config.yml").write_text(text, encoding="utf-8")

    def _run_program(self, text: str, block: Block) -> None:
        command = [sys.executable, "-c", text]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, f"{block}: {done.stderr}"
        self._printed = done.stdout

    def _execute(self, text: str) -> None:
        with self._database.connect() as connection:
            connection.execute(text.encode())
            for role in _CREATED.findall(text):
                self._roles.append(role)
                password = sql.Literal(self._known.get("password", ""))
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), password))

    def _follow(self, text: str, block: Block) -> None:
        """Run the commands of a console block and compare what they print; the last may end with `exit`."""
        commands = [part.split("\n") for part in text.removeprefix("$ ").rstrip("\n").split("\n$ ")]
        for number, (command, *shown) in enumerate(commands, 1):
            printed, code = self._call(command, block)
            assert code == int(block.mark("exit") or 0 if number == len(commands) else 0), f"{block}: {printed}"
            self._compare(shown, printed, block)

    def _call(self, command: str, block: Block) -> tuple[str, int]:
        words = shlex.split(command)
        if words[0] == "dblog" and "|" not in words:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = run(words[1:])
            return out.getvalue(), code
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            check=False,
            text=True,
            timeout=TIMEOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=TOP if block.mark("in") == "repository" else self._folder,
        )
        return done.stdout, done.returncode

    def _compare(self, shown: list[str], printed: str, block: Block) -> None:
        """Every line shown was printed, in this order."""
        lines = iter(gist(self._as_documented(printed)).split("\n"))
        for line in shown:
            assert gist(self._as_documented(line)) in lines, (
                f"{block}: {line!r} was not printed in its place:\n{printed}"
            )

    def _as_documented(self, text: str) -> str:
        place = f"{self._known.get('host', '')}:{self._known.get('port', 5432)}/{self._database.name}"
        text = text.replace(place, PLACE).replace(f"_{self._suffix}", "").replace(str(self._folder), "/tmp/shop")
        text = re.sub(rf"\b{re.escape(self._known.get('user', OWNER))}\b(?!ql|:)", OWNER, text)
        return text.replace(f" {socket.gethostname()}[", " web-1[")


def gist(text: str) -> str:
    """A text without what differs from run to run."""
    text = re.sub(r"(PostgreSQL \d+(\.\d+)*) \([^)]*\)", r"\1", text)
    text = re.sub(r"\d+(\.\d+)? (bytes|[kMGT]B)\b", "0 bytes", text)
    text = re.sub(r"\d+\.\d+|(?<=\[)\d+(?=\])|\d{2,}", "0", text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def commands_in(block: Block) -> Iterator[list[str]]:
    """The arguments of every call of `dblog` in a block."""
    for line in block.text.splitlines():
        words = [] if line.startswith("#") else shlex.split(line.removeprefix("ExecStart="), comments=True)
        at = next((at for at, word in enumerate(words) if Path(word).name == "dblog"), None)
        if at is not None and words[at + 1 : at + 2] and words[at - 1 : at] != ["install"]:
            yield words[at + 1 :]


def assert_parses(arguments: list[str], block: Block) -> None:
    """The command line is understood; nothing is run."""
    context = click.Context(entry, info_name="dblog")
    name, *rest = arguments
    assert name in COMMANDS, block
    command = entry.get_command(context, name)
    while isinstance(command, click.Group):
        command = command.get_command(context, rest.pop(0))
    assert command is not None, block
    with command.make_context(name, rest, parent=context):
        pass


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def variables(section: Any, *above: str) -> Iterator[str]:
    """The variables of all settings."""
    for name, field in type(section).model_fields.items():
        path = (*above, field.alias or name)
        value = getattr(section, name)
        yield from variables(value, *path) if hasattr(value, "model_fields_set") else ()
        yield "DBLOG_" + "__".join(path).upper()

"""Each module of the package can be imported by itself."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PATHS = {
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((TOP / "dblog").rglob("*.py"))
    if path.stem != "__main__"
}
"""The file of each module."""

IMPORT_ALL = """
import sys
for name in sys.argv[1:]:
    __import__(name)
"""

IMPORT_EACH = """
import os, sys
import alembic.operations, click, psycopg, pydantic, rich.progress, sqlalchemy.dialects.postgresql  # once for all
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
        except BaseException as error:
            print(name, repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
sys.exit(len(failed) > 0)
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in an interpreter of its own."""
    call = [sys.executable, "-c", code, *arguments]
    return subprocess.run(call, check=False, capture_output=True, text=True, cwd=TOP)


def executed(body: Iterable[ast.AST]) -> Iterator[ast.ImportFrom | ast.Import]:
    """The import statements that run when a module is imported: not those in functions or for the type checker."""
    for node in body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from executed(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from executed(ast.iter_child_nodes(node))


def imported(node: ast.ImportFrom | ast.Import) -> Iterator[str]:
    """The modules of the package that a statement names: `from a import b` names `a.b` where that is a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in PATHS)
    elif node.module in PATHS:
        names = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name if name in PATHS else node.module for name in names)


def packages(name: str) -> set[str]:
    """The packages that a module is in."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def needs(name: str, source: str) -> set[str]:
    """What has to be imported before a module is: what it names, and the packages around that which are not its own."""
    named = {each for node in executed(ast.parse(source).body) for each in imported(node)}
    return named | {package for each in named for package in packages(each)} - packages(name) - {name}


@cache
def graph() -> dict[str, set[str]]:
    """What each module needs."""
    return {name: needs(name, path.read_text(encoding="utf-8")) for name, path in PATHS.items()}


def circle(needed: dict[str, set[str]]) -> list[str]:
    """The modules of a circle among the imports; none where there is no circle."""
    try:
        TopologicalSorter(needed).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_the_imports_form_no_circle() -> None:
    """What a module imports never leads back to it: so it does not matter which one is imported first."""
    assert circle(graph()) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dblog.columns", "from dblog.store.schema import logs_table"),
        ("dblog.columns", "if True:\n    from dblog.store import schema"),
        ("dblog.defaults", "from dblog import DblogError"),
        ("dblog.store.names", "from dblog.archive.manifest import Manifest"),
    ],
)
def test_a_circle_is_found(name: str, line: str) -> None:
    """A line that leads back is found: by name or module, in a block, and by way of what a package itself imports."""
    assert name in circle(graph() | {name: graph()[name] | needs(name, line)})


def test_each_module_can_be_imported() -> None:
    """Every import finds what it names, in one process; no circle and no short cut makes one module need another's."""
    assert not [name for name, path in PATHS.items() if takes_a_short_cut(path)]
    done = python(IMPORT_ALL, *PATHS)
    assert done.returncode == 0, done.stderr


def takes_a_short_cut(path: Path) -> bool:
    """True with `import dblog.a`: `dblog.b` then works, too, if somebody else has imported it."""
    nodes = executed(ast.parse(path.read_text(encoding="utf-8")).body)
    return any("." in name for node in nodes if isinstance(node, ast.Import) for name in imported(node))


@pytest.mark.torture
def test_each_module_can_be_imported_alone() -> None:
    """The same in a process for each, which has no other module of the package."""
    done = python(IMPORT_EACH, *PATHS)
    assert done.returncode == 0, done.stdout + done.stderr

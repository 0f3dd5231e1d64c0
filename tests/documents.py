"""The documents as tests see them: fenced blocks with their language, their place and the marks above them.

A mark is an HTML comment on a line of its own directly above the fence; readers of the document do not see it:

    <!-- plan: prunes -->           the query leaves out old partitions
    <!-- plan: index NAME -->       the query uses this index
    <!-- file: NAME -->             the block is that file, for the blocks below it
    <!-- not run -->                the block needs what a test does not have; its dblog commands are parsed only
    <!-- exit: N -->                the last command of the block ends with this code
    <!-- in: repository -->         the commands run at the top of the repository
    <!-- output -->                 the block is what the program above it prints
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

TOP: Final = Path(__file__).parent.parent
DOCS: Final = TOP / "docs"

PLACE: Final = "localhost:5432/app"
"""Where the documents say that the database is."""
OWNER: Final = "app"
"""The role that the documents use where no other is introduced."""

_FENCE = re.compile(r"```(\w*)\n")
_MARK = re.compile(r"<!-- (.+?) -->\n")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    path: Path
    line: int
    language: str
    text: str
    marks: tuple[str, ...]
    heading: str

    def __str__(self) -> str:
        """Where it stands, for the name of a test."""
        return f"{self.path.relative_to(TOP)}:{self.line}"

    def mark(self, kind: str) -> str | None:
        """The value of the mark `<!-- kind: value -->`; None where it has none."""
        return next((value for name, _, value in self._parted() if name == kind), None)

    def all_marks(self, kind: str) -> list[str]:
        """The values of all marks of a kind."""
        return [value for name, _, value in self._parted() if name == kind]

    def _parted(self) -> Iterator[tuple[str, str, str]]:
        return (mark.partition(": ") for mark in self.marks)


def documents() -> list[Path]:
    """All documents for users."""
    return [path for path in (TOP / "README.md", *sorted(DOCS.rglob("*.md"))) if path.exists()]


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a document, in order."""
    return list(_blocks(path, path.read_text(encoding="utf-8").splitlines(keepends=True)))


def _blocks(path: Path, lines: list[str]) -> Iterator[Block]:
    heading, number = "", 0
    marks: list[str] = []
    while number < len(lines):
        line = lines[number]
        if found := _FENCE.fullmatch(line):
            end = lines.index("```\n", number + 1)
            yield Block(path, number + 1, found[1], "".join(lines[number + 1 : end]), tuple(marks), heading)
            number = end
        heading = line.lstrip("# ").strip() if line.startswith("#") else heading
        mark = _MARK.fullmatch(line)
        marks = [*marks, mark[1]] if mark else []
        number += 1


def localized(text: str, dsn: str) -> str:
    """A text of a document in which the connection strings lead to a test's database."""
    known = conninfo_to_dict(dsn)
    user, password, host = (quote(str(known.get(key) or ""), safe="") for key in ("user", "password", "host"))
    place = f"{host}:{known.get('port') or 5432}/{quote(str(known['dbname']), safe='')}"
    return text.replace(f"//{OWNER}@{PLACE}", f"//{user}:{password}@{place}").replace(PLACE, place)

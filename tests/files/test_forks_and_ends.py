"""What waits in a buffer when the process forks, or ends."""

from pathlib import Path

import pytest
from programs import run_in_background

APP = Path(__file__).with_name("ending_app.py")
RECORDS = 100


def names(path: Path) -> dict[str, list[int]]:
    """The numbers in a log, by the name before them, in the order of the file."""
    found: dict[str, list[int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, number = line.split()
        found.setdefault(name, []).append(int(number))
    return found


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("return", ["main"]),
        ("SIGTERM", ["main"]),
        ("fork", ["after", "child", "main", "thread"]),
        ("multiprocessing", ["child0", "child1", "child2", "main"]),
    ],
)
def test_what_waits_is_written_once(tmp_path: Path, end: str, expected: list[str]) -> None:
    """However a process ends in order, each record that it logged is in the file once, in order, and no other's is."""
    path = tmp_path / "app.log"
    run_in_background(APP, (path, end), (), (), tmp_path).finish()
    found = names(path)
    assert sorted(found) == expected
    assert all(numbers == list(range(RECORDS)) for numbers in found.values())

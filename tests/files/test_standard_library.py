"""CPython's own tests of its file handlers, from the interpreter's `test` package, run on dblog's.

They are not copied: each interpreter brings those of its version. Where it has none this fails, because without them
nobody knows whether the handlers are a replacement; Debian keeps them in `libpython3-testsuite`, images named `slim`
have no tests at all.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import IMPORTABLE, TIMEOUT

APPLICATION = Path(__file__).with_name("standard_library_app.py")

LEAST = {"FileHandlerTest": 2, "RotatingFileHandlerTest": 6, "TimedRotatingFileHandlerTest": 12}
"""Tests that each class had in Python 3.11; later versions have more."""

EXPLAINED: dict[str, dict[str, str]] = {
    "FileHandlerTest": {
        "test_emit_after_closing_in_write_mode": "The standard RotatingFileHandler does not pass it either: after its"
        " close it opens the file again, also with mode 'w'. So does dblog's, and it appends.",
    },
    "RotatingFileHandlerTest": {
        "test_should_rollover": "Rotates an empty file, which the standard library has stopped to do: gh-116263.",
    }
    if sys.version_info < (3, 11, 9) or (3, 12) <= sys.version_info < (3, 12, 3)
    else {},
    "TimedRotatingFileHandlerTest": {},
}
"""For each class the tests that dblog's handlers do not pass, and why they should not."""


def test_they_are_there() -> None:
    """The interpreter that runs these tests has its own tests of `logging`, or this run proves nothing."""
    assert importlib.util.find_spec("test.test_logging"), f"{sys.executable} has no package `test`: install it"


@pytest.mark.parametrize("class_name", LEAST)
def test_they_pass(class_name: str, tmp_path: Path) -> None:
    """A program that was written for the standard handler finds the same behaviour, but for what is explained."""
    done = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", APPLICATION, class_name],
        env={**os.environ, "PYTHONPATH": IMPORTABLE, "TMPDIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    print(*report["not_passed"].values(), sep="\n")
    assert set(report["not_passed"]) == set(EXPLAINED[class_name])
    assert report["ran"] >= LEAST[class_name]
    assert [path.name for path in tmp_path.iterdir()] == []

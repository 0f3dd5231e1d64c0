"""A spool directory, and the command that looks into it."""

from pathlib import Path

import pytest
from spooled import SpoolCommand


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the spools are."""
    made = tmp_path / "spool"
    made.mkdir()
    return made


@pytest.fixture
def spool(directory: Path, capsys: pytest.CaptureFixture[str]) -> SpoolCommand:
    """Runs the command."""
    return SpoolCommand(directory, capsys)

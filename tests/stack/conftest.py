"""Runs the programs of this folder."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from programs import Program, Start, run_in_background


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts programs of this folder; what still runs at the end of the test is killed."""
    with ExitStack() as cleanup:

        def start_one(
            name: str, *arguments: object, options: tuple[str, ...] = (), fds: tuple[int, ...] = ()
        ) -> Program:
            program = run_in_background(Path(__file__).parent / name, arguments, options, fds, tmp_path)
            cleanup.callback(program.process.wait)
            cleanup.callback(program.process.kill)
            return program

        yield start_one

"""Programs that a test runs as processes of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import dblog

TIMEOUT = 280.0
"""Seconds after which a program is taken for stuck: less than a test may take, and far more than a program needs."""
IMPORTABLE = str(Path(dblog.__file__).parent.parent)


@dataclass(frozen=True)
class Program:
    """A running program and the files that take its output."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def finish(self) -> str:
        """Wait for its end, which has to be an orderly one with nothing on stderr; returns its output."""
        code = self.process.wait(TIMEOUT)
        complaints = self.stderr.read_text(encoding="utf-8", errors="backslashreplace")
        assert (code, complaints) == (0, ""), f"exit {code}: {complaints}"
        return self.stdout.read_text(encoding="utf-8")


def run_to_the_end(file: str, *arguments: object) -> str:
    """Run a program that can import dblog; returns its output. Its end has to be orderly, with nothing on stderr."""
    done = subprocess.run(
        [sys.executable, file, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Start(Protocol):
    """Starts a program beside the test, by the name of its file."""

    def __call__(
        self, name: str, *arguments: object, options: tuple[str, ...] = (), fds: tuple[int, ...] = ()
    ) -> Program:
        """Start it with these arguments, options of the interpreter and inherited descriptors."""
        ...


def run_in_background(
    file: Path, arguments: tuple[object, ...], options: tuple[str, ...], fds: tuple[int, ...], folder: Path
) -> Program:
    """Start a program that can import dblog; its output goes into `folder`."""
    stdout, stderr = folder / f"{file.name}.stdout", folder / f"{file.name}.stderr"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *options, file, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=fds,
        )
    return Program(process, stdout, stderr)

"""What waits in a spool directory: left by writers of this process, or by programs that log beside the test."""

import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import IMPORTABLE, TIMEOUT

from dblog.batch import Batch
from dblog.cli.main import run
from dblog.columns import COLUMN_NAMES
from dblog.location import target
from dblog.sinks import frames
from dblog.sinks.spool import Spool
from dblog.writing.linequeue import LineQueue
from dblog.writing.row import RowEncoder

NOWHERE = "host=127.0.0.1 port=1 user=app dbname=app"
"""A database that refuses every connection at once."""

_PROGRAM = """
import logging, sys
from dblog import DatabaseLogHandler

dsn, directory, durability = sys.argv[1:]
handler = DatabaseLogHandler(
    dsn, spool_dir=directory, durability=durability, service="shop", flush_interval=0.05, close_timeout=60
)
logger = logging.Logger("shop")
logger.addHandler(handler)
for line in sys.stdin:
    logger.warning(line.rstrip())
    print("logged", flush=True)
handler.close()
"""


def batch_of(writer_id: str, seq: int, *messages: str, level: int = logging.INFO) -> Batch:
    """The batch `seq` of a writer, with a row for each message."""
    encoder = RowEncoder(service="shop", hostname="web-1", max_field_bytes=65_536, mask_keys=())
    queue = LineQueue(1 << 30, writer_id=writer_id)
    for _ in range(seq - 1):
        queue.closing_batch()
    for message in messages:
        record = logging.LogRecord("shop", level, "shop.py", 1, message, None, None)
        record.__dict__["order"] = 7
        queue.append(encoder.encode(record))
    batch = queue.take(len(messages), 1 << 30)
    assert batch is not None
    return batch


def open_spool(directory: Path, dsn: str, writer_id: str = "") -> Spool:
    """The spool of a writer; it lives until it is abandoned or closed."""
    wanted = target(dsn, None, "dblog")
    spool = Spool(directory, writer_id=writer_id or uuid.uuid4().hex, target=wanted, report=_fail, min_free=0)
    spool.open()
    return spool


def leave(directory: Path, dsn: str, *messages: str, level: int = logging.INFO) -> str:
    """Be a writer that dies and leaves these messages, each in a batch of its own; returns its UUID."""
    writer_id = uuid.uuid4().hex
    spool = open_spool(directory, dsn, writer_id)
    for seq, message in enumerate(messages, 1):
        spool.append(batch_of(writer_id, seq, message, level=level))
    spool.abandon()
    return writer_id


def _fail(trouble: object) -> None:
    raise AssertionError(trouble)


class SpoolCommand:
    """`dblog spool` on one directory."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory = directory
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it; returns the exit code, stdout and stderr."""
        name, *rest = arguments
        code = run(["spool", name, "--spool-dir", str(self._directory), *rest])
        return code, *self._capsys.readouterr()

    def listed(self) -> list[dict[str, Any]]:
        """What `ls` says in JSON."""
        code, out, err = self("ls", "-o", "json")
        assert (code, err) == (0, "")
        found: list[dict[str, Any]] = json.loads(out)
        return found

    def messages(self, *arguments: str) -> list[str]:
        """The messages of the rows that `cat` prints."""
        code, out, err = self("cat", "--jsonl", *arguments)
        assert (code, err) == (0, "")
        return [json.loads(line)["message"] for line in out.splitlines()]


def write_segment(path: Path, *batches: Batch, target: str = "here", columns: tuple[str, ...] = COLUMN_NAMES) -> bytes:
    """Write a segment as a writer of any release might have; returns its bytes."""
    header = frames.make_header(target, columns)
    data = header.line + b"".join(frames.encode(replace(each, columns=columns), header) for each in batches)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(data)
    return data


class Shop:
    """A program that logs what it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.process_id = process.pid

    def log(self, *messages: str) -> None:
        """Have messages logged; they were when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for message in messages:
            self._process.stdin.write(f"{message}\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "logged\n"

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.process_id, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Have it close its handler, and wait for its end."""
        self._process.communicate(timeout=TIMEOUT)


@contextmanager
def shop(directory: Path, dsn: str, *, durability: str = "memory") -> Iterator[Shop]:
    """Run a program whose handler spools into `directory`; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, dsn, str(directory), durability],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield Shop(process)
        finally:
            process.kill()

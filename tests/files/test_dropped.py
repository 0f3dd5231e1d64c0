"""Handlers that nobody holds any more, and that nobody has closed."""

import gc
import logging
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dblog.files.handler import ResilientRotatingFileHandler


def descriptors(folder: Path) -> list[str]:
    """What this process has open in a folder."""
    inodes = {path.stat().st_ino: path.name for path in folder.iterdir()}
    found = []
    for fd in range(3, 256):
        with suppress(OSError):  # most of them are not open
            found.append(inodes.get(os.fstat(fd).st_ino, ""))
    return [name for name in found if name]


@pytest.mark.parametrize("arguments", [{}, {"maxBytes": 30, "backupCount": 2, "multi_process": True}])
def test_a_dropped_handler_closes_its_files(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """A handler without a buffer has nothing to write any more: once it is collected, no descriptor is open."""
    handler = ResilientRotatingFileHandler(tmp_path / "app.log", **arguments)
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    gone = weakref.ref(handler)
    assert descriptors(tmp_path)
    del handler
    gc.collect()
    assert gone() is None
    assert descriptors(tmp_path) == []


def test_a_dropped_handler_with_a_buffer_writes_it(tmp_path: Path) -> None:
    """What waits in the buffer of a dropped handler is written, later or at the end of the process."""
    path = tmp_path / "app.log"
    handler = ResilientRotatingFileHandler(path, buffer_size=65_536, flush_interval=3600)
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    writer = weakref.ref(handler._writer)
    del handler
    gc.collect()
    held = writer()
    assert held is not None
    held.close()
    assert path.read_text() == "one\n"

"""Errors that no test can have the system itself make: calls of `os` that fail for the files of one folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Faults:
    """Makes system calls fail below a folder, until `end`.

    What fails is what dblog calls in `os`; nothing is asked of the kernel for it. `open`, `rename` (which stands for
    `replace`, too), `write` (which stands for `pwrite`), `fsync`, `close` and `ftruncate` are known.

    Args:
        folder: Files elsewhere are left alone.
        monkeypatch: Puts everything right at the end of the test.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        """The calls that failed, by their names."""
        self._folder = str(folder)
        self._patch = monkeypatch
        self._left: dict[str, int] = {}
        self._halved: set[Any] = set()

    def make(self, call: str, code: int, times: int = 1_000_000, *, only: str = "") -> None:
        """Have the next `times` of that call fail with this error number, for files with `only` in their name."""
        self._left[call] = times
        for name in {"rename": ("rename", "replace"), "write": ("write", "pwrite")}.get(call, (call,)):
            self._patch.setattr(os, name, self._failing(call, getattr(os, name), code, only))

    def end(self) -> None:
        """Let everything succeed again."""
        self._left.clear()

    def _failing(self, call: str, original: Callable[..., Any], code: int, only: str) -> Callable[..., Any]:
        def fail(target: int | str | os.PathLike[str], *arguments: Any, **named: Any) -> Any:
            path = self._path(target)
            if not path.startswith(self._folder) or only not in path or not self._left.get(call):
                return original(target, *arguments, **named)
            self._left[call] -= 1
            self.calls.append(call)
            if call == "close":
                original(target)  # as the kernel does: it reports an error, and the descriptor is gone
            if call == "write" and len(arguments[0]) > 1 and target not in self._halved:
                self._halved.add(target)
                return self._write_half(original, target, *arguments)
            self._halved.discard(target)
            raise OSError(code, os.strerror(code), path)

        return fail

    def _path(self, target: int | str | os.PathLike[str]) -> str:
        try:
            return str(Path(f"/proc/self/fd/{target}").readlink()) if isinstance(target, int) else os.fspath(target)
        except OSError:
            return ""

    @staticmethod
    def _write_half(write: Callable[..., int], fd: Any, data: bytes, *position: int) -> int:
        """Take half of the data, up to the middle of a line, before the call for the rest fails: the worst there is."""
        return write(fd, data[: len(data) // 2], *position)

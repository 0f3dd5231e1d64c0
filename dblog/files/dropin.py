"""What code that knows the standard library's rotating file handlers finds in ours: hooks, overrides and the stream."""
# ruff: noqa: N802 - the standard library's names

import logging
from collections.abc import Callable
from logging.handlers import BaseRotatingHandler

from dblog.errors import UsageError
from dblog.files.stream import LiveStream
from dblog.files.writer import FileWriter


class DropIn(BaseRotatingHandler):
    """The standard library's interface around a writer.

    `namer`, `rotator` and the methods of the same use are honoured, as attributes and in subclasses. A subclass with
    its own `shouldRollover` or `doRollover` decides about rotation for each record, and none waits in the buffer then.

    Args:
        writer: Writes the file.
    """

    def __init__(self, writer: FileWriter) -> None:
        self.settings = writer.settings
        self._writer = writer
        self._stream = LiveStream(writer)
        self._namer: Callable[[str], str] | None = None
        self._hooked = False
        self._rotator: Callable[[str, str], None] | None = None
        logging.Handler.__init__(self)
        self.baseFilename = self.settings.filename
        self.mode = self.settings.mode
        self._rolls = self._overrides("shouldRollover", DropIn) or self._overrides("doRollover", DropIn)
        writer.outlet.rotates = not self._rolls
        self._use_hooks()

    def _overrides(self, method: str, own: type) -> bool:
        """True where a subclass does something in its own way."""
        return getattr(type(self), method) is not getattr(own, method)

    def _use_hooks(self) -> None:
        named = callable(self.namer) or self._overrides("rotation_filename", BaseRotatingHandler)
        rotated = callable(self.rotator) or self._overrides("rotate", BaseRotatingHandler)
        if named or rotated or self._hooked:
            self._hooked = True
            self._writer.use_hooks(self.rotation_filename if named else None, self.rotate if rotated else None)

    @property
    def namer(self) -> Callable[[str], str] | None:  # an attribute in the standard library
        """Takes the usual path of a rotated file and gives the one that is used."""
        return self._namer

    @namer.setter
    def namer(self, hook: Callable[[str], str] | None) -> None:
        self._namer = hook
        self._use_hooks()

    @property
    def rotator(self) -> Callable[[str, str], None] | None:
        """Takes the path of the live file and the one of the rotated file, and does the rest."""
        return self._rotator

    @rotator.setter
    def rotator(self, hook: Callable[[str, str], None] | None) -> None:
        self._rotator = hook
        self._use_hooks()

    @property  # type: ignore[override] # an attribute, and another kind of stream, in the standard library
    def stream(self) -> LiveStream | None:
        """The open file as a text stream with a `fileno()`; None while it is not open."""
        return None if self._stream.closed else self._stream

    @stream.setter
    def stream(self, stream: LiveStream | None) -> None:
        if stream is None:
            self._writer.release()
        elif stream is not self._stream:
            raise UsageError(f"{self.baseFilename}: the stream of this handler is its file; use another handler")

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """True where a rotation is due before this record is written."""
        self._writer.open()
        longest = 0
        if self.settings.max_bytes and self._writer.size:  # an empty file is never rotated, the record does not matter
            longest = len(
                (self.format(record) + self.terminator).encode(self._writer.encoding.name, self._writer.encoding.errors)
            )
        return self._writer.is_due(longest)

    def doRollover(self) -> None:
        """Rotate now."""
        self._writer.rotate()

    def _write_rolling(self, record: logging.LogRecord, line: bytes) -> None:
        """Write a line after the subclass was asked whether to rotate before it."""
        with self._writer.lock:
            if self.shouldRollover(record):
                self.doRollover()
            self._writer.write(line, True)

    @property
    def maxBytes(self) -> int:
        """Bytes that a file stays below; 0 for no limit."""
        return int(self.settings.max_bytes)

    @property
    def backupCount(self) -> int:
        """Rotated files that are kept."""
        return self.settings.backup_count

    def _open(self) -> LiveStream:  # type: ignore[override]
        self._writer.open()
        return self._stream

"""What `handler.stream` is: the open log file, to code that expects the standard library's."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dblog.files.writer import FileWriter


class LiveStream:
    """A text stream into the live file; what is written to it takes the way of all lines.

    Args:
        writer: Whose file it is.
    """

    mode = "a"

    def __init__(self, writer: "FileWriter") -> None:
        self._writer = writer

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._writer.outlet.live.path)

    @property
    def encoding(self) -> str:
        """The codec of the file."""
        return self._writer.encoding.name

    @property
    def errors(self) -> str:
        """What becomes of characters that the codec does not have."""
        return self._writer.encoding.errors

    @property
    def closed(self) -> bool:
        """True while the file is not open."""
        return not self._writer.outlet.live.is_open

    def write(self, text: str) -> int:
        """Append text, which should end its line, and return the number of characters."""
        self._writer.write(text.encode(self.encoding, self.errors), True)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Append texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        self._writer.release()

    def fileno(self) -> int:
        """The descriptor of the file.

        Raises:
            ValueError: The file is not open.
        """
        if self.closed:
            raise ValueError(f"{self.name} is not open")
        return self._writer.outlet.live.fd

    def tell(self) -> int:
        """Bytes in the file, and those that wait for it."""
        return self._writer.size

    def isatty(self) -> bool:
        """Never taken for a terminal."""
        return False

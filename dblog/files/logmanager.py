"""`LogManager`: line files for what is not a logger, such as the output of jobs, tasks and devices."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dblog.errors import UsageError

if TYPE_CHECKING:
    from dblog.files.metrics import FileMetrics
    from dblog.files.writer import FileWriter

_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
_LIKE_ROTATED: Final = re.compile(r".*\.\d{8}_\d{6}(_\d+)?", re.ASCII)


class StreamWriter:
    """Writes the lines of one stream; a `LogManager` makes it.

    All methods may be called from any thread.
    """

    def __init__(self, writer: "FileWriter", close_timeout: float) -> None:
        self._writer = writer
        self._close_timeout = close_timeout

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return Path(self._writer.settings.filename)

    def write_line(self, line: str | bytes, *, urgent: bool = False) -> None:
        """Write a line; never raises for what the disk does.

        Args:
            line: The line, with its line feed or without. Bytes are written as they are.
            urgent: Write it before the call returns, with all that waits.

        Raises:
            TypeError: The line is neither text nor bytes.
        """
        if not isinstance(line, str | bytes):
            raise TypeError(f"a line must be str or bytes, not {type(line).__name__}")
        encoding = self._writer.encoding
        data = line.encode(encoding.name, encoding.errors) if isinstance(line, str) else line
        self._writer.write(data if data.endswith(encoding.newline) else data + encoding.newline, urgent)

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits.

        Args:
            timeout: Seconds; None for as long as it takes.

        Returns:
            True where nothing waits any more that was given before.
        """
        return self._writer.flush(timeout)

    def get_metrics(self) -> "FileMetrics":
        """The figures of this stream in this process."""
        return self._writer.metrics()

    def shutdown(self, timeout: float | None = None) -> bool:
        """Write what waits and close the file. A line that comes later opens it for itself alone.

        Args:
            timeout: Seconds; None for the manager's `close_timeout`.

        Returns:
            True where everything was written in time.
        """
        self._writer.close(self._close_timeout if timeout is None else timeout)
        return not self._writer.metrics().waiting_lines

    @property
    def closed(self) -> bool:
        """True after `shutdown`."""
        return self._writer.closed


class LogManager:
    """The writers of one folder, got or created by id, and closed together.

    The stream `orders` is written to `orders.log`. Files are rotated at 10 MiB, ten rotated ones are kept and
    compressed, lines wait up to 0.1 s in a buffer of 64 KiB. The end of a `with` statement closes all writers.

    Args:
        directory: The folder, which is made where it is missing.
        settings: What is to be different, by the names of `dblog.files.settings.StreamSettings`.

    Raises:
        ConfigurationError: A setting is unknown or wrong; all mistakes are named.
    """

    def __init__(self, directory: str | os.PathLike[str], **settings: object) -> None:
        from dblog.config import stream_settings  # pydantic comes with the first manager, not with `import dblog`

        self.directory = Path(directory)
        self.settings = stream_settings(settings)
        self._writers: dict[str, StreamWriter] = {}

    def __enter__(self) -> Self:
        """The manager itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all writers."""
        self.close_all()

    def get_writer(self, stream_id: str) -> StreamWriter:
        """The writer of a stream; the same one for the same id until it is shut down.

        Args:
            stream_id: Letters, digits, `_`, `-` and `.`, up to 200, not beginning with `-` or `.`.

        Raises:
            UsageError: The id cannot be the name of a file.
            OSError: The file cannot be opened, and a full disk is not the reason.
        """
        writer = self._writers.get(stream_id)
        if writer is not None and not writer.closed:
            return writer
        return self._create(stream_id)

    def get_metrics(self) -> Mapping[str, "FileMetrics"]:
        """The figures of all writers that are open, by id."""
        return {stream_id: writer.get_metrics() for stream_id, writer in list(self._writers.items())}

    def close_all(self, timeout: float | None = None) -> bool:
        """Shut all writers down, within one time limit for all of them.

        Args:
            timeout: Seconds; None for `close_timeout`.

        Returns:
            True where everything was written in time.
        """
        deadline = time.monotonic() + (self.settings.close_timeout if timeout is None else timeout)
        writers = []
        while self._writers:
            writers.append(self._writers.popitem()[1])
        for writer in writers:
            writer.flush(0.0)  # those that can write now do, before one that cannot takes the time
        written = [writer.shutdown(max(0.0, deadline - time.monotonic())) for writer in writers]
        return all(written)

    def _create(self, stream_id: str) -> StreamWriter:
        from dblog.files.writer import FileWriter

        path = self.directory / f"{_checked(stream_id)}.log"
        made = FileWriter(self.settings.file_settings(path))
        try:
            made.open()
        except BaseException:
            made.close(0.0)
            raise
        writer = StreamWriter(made, self.settings.close_timeout)
        # Each is one step to the interpreter: no lock, which a fork could catch in the hands of another thread.
        known = self._writers.setdefault(stream_id, writer)
        if known is not writer and known.closed:
            self._writers[stream_id] = known = writer
        if known is not writer:
            made.close(0.0)
        return known


def _checked(stream_id: object) -> str:
    if not isinstance(stream_id, str) or not _ID.fullmatch(stream_id):
        raise UsageError(
            f"{stream_id!r} is no id of a stream; accepted: 1 to 200 of A-Z, a-z, 0-9, _, - and ., "
            "not beginning with - or ."
        )
    if _LIKE_ROTATED.fullmatch(stream_id):
        raise UsageError(f"{stream_id!r} is no id of a stream: it ends like the name of a rotated file")
    return stream_id

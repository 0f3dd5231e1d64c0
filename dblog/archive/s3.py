"""An archive in a bucket of S3, or of whatever speaks its protocol."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Final

from dblog.archive.extra import needed
from dblog.archive.interfaces import S3
from dblog.errors import UsageError

CONNECT_TIMEOUT: Final = 10
REQUEST_TIMEOUT: Final = 60
ATTEMPTS: Final = 4
"""How often a request is sent whose outcome is unknown, or that the store was too busy for."""


class S3Store:
    """A bucket and a prefix; credentials, region and endpoint come from the usual `AWS_...` variables."""

    def __init__(self, location: str) -> None:
        self._root = location.removeprefix(S3).strip("/")
        self.location: Final = S3 + self._root
        if not self._root.partition("/")[0]:
            raise UsageError(f"archive: {location!r} names no bucket; accepted: s3://bucket/prefix")
        self._fs = needed("pyarrow.fs")
        self.filesystem: Final = self._connect()

    def _connect(self) -> Any:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return self._fs.S3FileSystem(
            endpoint_override=endpoint,
            region=region or ("us-east-1" if endpoint else None),  # with an endpoint there is nothing to look it up
            connect_timeout=CONNECT_TIMEOUT,
            request_timeout=REQUEST_TIMEOUT,
            retry_strategy=self._fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        )

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Write an object, which is there once its last part is; a broken one is removed."""
        stream = self.filesystem.open_output_stream(self._at(path), compression=None)
        try:
            yield stream
            stream.close()
        except BaseException:
            self._abandon(stream, path)
            raise

    def _abandon(self, stream: Any, path: str) -> None:
        """Take back what was begun; without a manifest it counts for nothing, whether that succeeds or not."""
        try:
            stream.close()
            self.delete(path)
        except OSError:
            pass  # what made the writing fail is told

    def reading(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open an object."""
        opened: AbstractContextManager[IO[bytes]] = self.filesystem.open_input_file(self._at(path))
        return opened

    def names(self, folder: str) -> list[str]:
        """What is in a folder."""
        selector = self._fs.FileSelector(self._at(folder), allow_not_found=True)
        return sorted(found.base_name for found in self.filesystem.get_file_info(selector))

    def delete(self, path: str) -> None:
        """Remove an object."""
        self.filesystem.delete_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

"""The formats of compressed files: gzip always, zstd where Python or the package `zstandard` has it."""

import gzip
import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

from dblog.errors import ConfigurationError

_GZIP: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 6


class Stream(Protocol):
    """Compresses piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """What is ready of the result after `data`."""

    def flush(self) -> bytes:
        """The rest of the result."""


class Packing:
    """A format.

    Args:
        name: `gzip` or `zstd`.

    Raises:
        ConfigurationError: It is zstd, and nothing installed knows it.
    """

    def __init__(self, name: str) -> None:
        self.suffix: Final = ".gz" if name == "gzip" else ".zst"
        self.stream: Callable[[], Stream]
        self.open: Callable[[Path], BinaryIO]
        if name == "gzip":
            self.stream = lambda: zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
            self.open = lambda path: cast("BinaryIO", gzip.open(path))  # noqa: SIM115 - its caller closes it
        elif _exists("compression.zstd"):
            standard: Any = import_module("compression.zstd")
            self.stream, self.open = standard.ZstdCompressor, standard.open
        elif _exists("zstandard"):
            package: Any = import_module("zstandard")
            self.stream = lambda: cast("Stream", package.ZstdCompressor().compressobj())
            self.open = lambda path: cast("BinaryIO", package.open(path, "rb"))
        else:
            raise ConfigurationError(
                "compression: 'zstd' needs Python 3.14 or the package zstandard (pip install 'dblog[zstd]'); "
                "accepted without it: none, gzip"
            )


def packing_of(path: Path) -> Packing:
    """The format of a compressed file, by its name.

    Raises:
        ConfigurationError: Nothing installed knows it.
    """
    return Packing("gzip" if path.suffix == ".gz" else "zstd")


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it is missing
        return False

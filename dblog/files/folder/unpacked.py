"""How large a compressed file was before, as its own header or trailer says."""

import os
from pathlib import Path
from typing import Final

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def unpacked_size(path: Path) -> int | None:
    """Bytes of the content of a gzip or zstd file; None where the file does not tell.

    gzip keeps the size modulo 4 GiB. zstd tells only where the size was known when it began.

    Raises:
        OSError: The file could not be read.
    """
    with path.open("rb") as file:
        head = file.read(18)
        if head.startswith(_GZIP) and len(head) == 18:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")
    return _size_in_frame(head) if head.startswith(_ZSTD) and len(head) > 5 else None


def _size_in_frame(head: bytes) -> int | None:
    """The field Frame_Content_Size of RFC 8878, section 3.1.1.1."""
    descriptor = head[4]
    single = bool(descriptor & 0x20)
    width = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    begin = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    field = head[begin : begin + width]
    if not width or len(field) < width:
        return None
    return int.from_bytes(field, "little") + (256 if width == 2 else 0)

"""From text to the bytes of a line: any codec of Python's, and a byte order mark only where a file begins."""

import codecs
import locale
import sys
from typing import Final

_WITHOUT_MARK: Final = {
    "utf-16": ("utf-16-le" if sys.byteorder == "little" else "utf-16-be", codecs.BOM_UTF16),
    "utf-32": ("utf-32-le" if sys.byteorder == "little" else "utf-32-be", codecs.BOM_UTF32),
    "utf-8-sig": ("utf-8", codecs.BOM_UTF8),
}
"""Codecs that begin each text with a mark: the same without it, and the mark."""


class LineEncoding:
    """Encodes lines one by one.

    Args:
        encoding: The name of a codec; None for that of the locale, like the standard library.
        errors: What becomes of characters that the codec does not have; None writes them as escapes, so that no
            line is lost for one of them.

    Attributes:
        name: The codec for a line.
        errors: The handling of errors.
        mark: What a file begins with.
        newline: The end of a line.

    Raises:
        LookupError: There is no such codec, it is none for text, or there is no such handling of errors.
    """

    def __init__(self, encoding: str | None, errors: str | None) -> None:
        name = encoding if encoding not in (None, "locale") else locale.getpreferredencoding(False)
        known = codecs.lookup(str(name)).name
        self.errors = errors or "backslashreplace"
        codecs.lookup_error(self.errors)
        self.name, self.mark = _WITHOUT_MARK.get(known, (known, b""))
        self.newline = "\n".encode(self.name)

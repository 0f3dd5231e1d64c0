"""Text as PostgreSQL's COPY reads it, and what must be done to text that PostgreSQL cannot store."""

import re
from typing import Final

NULL: Final = "\\N"

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def escape(text: str) -> str:
    """Escape text that is known to be storable for the text format of COPY.

    The byte 0x1E ends a frame in the spool, so it never stands in a line as it is.
    """
    if text.isprintable() and "\\" not in text:  # one pass in C: the common case costs next to nothing
        return text
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text.replace("\x1e", "\\x1e") if "\x1e" in text else text


def unescape(field: str) -> str:
    """The text that COPY reads from a field which is not NULL."""
    return _ESCAPE.sub(_meant, field) if "\\" in field else field


def before_escape(text: str) -> str:
    """What `escape` made this of; unlike `unescape` a few passes in C, because it knows no other escapes."""
    pieces = text.split("\\\\")
    named = (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\x1e", "\x1e"))
    for escaped, meant in named:
        pieces = [piece.replace(escaped, meant) for piece in pieces]
    return "\\".join(pieces)


def is_storable(text: str) -> bool:
    """False where PostgreSQL would refuse the text: it has NUL characters or lone surrogates."""
    return "\0" not in text and (text.isascii() or text.isprintable() or not _SURROGATE.search(text))


def make_storable(text: str) -> str:
    r"""Replace NUL and lone surrogates by what Python shows for them: `\x00`, `\udc80`."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\0", "\\x00"))


def cut(text: str, max_bytes: int) -> str:
    """Cut text to `max_bytes` of UTF-8 and say so at its end; shorter text comes back as it is."""
    if len(text) * 4 <= max_bytes:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= max_bytes:
        return text
    mark = f"… [cut by dblog: {len(encoded)} bytes in all]"
    kept = encoded[: max(0, max_bytes - len(mark.encode()))]
    while kept and kept[-1] & 0xC0 == 0x80:  # never end within a character
        kept = kept[:-1]
    return (kept[:-1] if kept and kept[-1] >= 0xC0 else kept).decode("utf-8", "surrogatepass") + mark


def _meant(found: re.Match[str]) -> str:
    digits, octal, letter = found.groups()
    if letter is not None:
        return _NAMED.get(letter, letter)
    return chr(int(digits, 16) if digits else int(octal, 8) & 0xFF)

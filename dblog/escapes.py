"""Text in one line: whatever could end the line, or steer the terminal that shows it, is written as an escape."""

import json
import re

# Control characters, what changes the direction of writing, what is invisible, and halves of characters; but not the
# joiners that scripts and emoji need.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e00ff]"
)
UNSAFE_BUT_TAB = re.compile(UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0a-\x1f"))
UNSAFE_BUT_BREAKS = re.compile(UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str) -> str:
    """The text in one line, with whatever could steer a terminal written as an escape."""
    return text if text.isprintable() else UNSAFE_BUT_TAB.sub(escape, text)


def printable_lines(text: str) -> str:
    """The text with its tabs and line feeds, and all else that could steer a terminal written as an escape."""
    return text if text.isprintable() else UNSAFE_BUT_BREAKS.sub(escape, text)


def printable_json(text: str) -> str:
    """JSON that means the same, in which nothing can end the line or steer a terminal."""
    return text if text.isprintable() else UNSAFE.sub(_escape_in_json, text)


def escape(found: re.Match[str]) -> str:
    """One unsafe character as Python would write it."""
    code = ord(found[0])
    named = {0x07: "\\a", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    return named.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def _escape_in_json(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]

"""Records encoded as the handler does it, and their fields as COPY would read them."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from dblog import defaults
from dblog.columns import LOG_COLUMNS
from dblog.writing.extra import ExtraEncoder
from dblog.writing.row import RowEncoder

NAMES = [column.name for column in LOG_COLUMNS][2:]
NOW = 1_795_242_835.25
DAY = 86_400
MISSING = object()


def encoder(**values: Any) -> RowEncoder:
    """An encoder whose clock stands at 2026-11-21 06:33:55.25 UTC."""
    chosen: dict[str, Any] = {
        "service": "shop",
        "hostname": "web-1",
        "max_field_bytes": defaults.MAX_FIELD_BYTES,
        "mask_keys": defaults.MASK_KEYS,
        "clock": lambda: NOW,
    }
    return RowEncoder(**{**chosen, **values})


def record(message: object = "hello", *args: object, level: int = logging.INFO, **attributes: Any) -> logging.LogRecord:
    """A record of the logger `app`, with further attributes."""
    made = logging.LogRecord("app", level, "/srv/app/views.py", 42, message, args, None, "index")
    made.created = NOW
    vars(made).update(attributes)
    return made


def fields(line: bytes) -> dict[str, str | None]:
    """The fields of a line, unescaped."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    texts = line.decode()[:-1].split("\t")
    assert len(texts) == len(NAMES)
    return {name: None if text == "\\N" else unescape(text) for name, text in zip(NAMES, texts, strict=True)}


def unescape(text: str) -> str:
    """What COPY makes of a field."""
    parts = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "x1e": "\x1e"}
    out, rest = "", text
    while rest:
        before, slash, rest = rest.partition("\\")
        out += before
        if slash:
            code = next(code for code in parts if rest.startswith(code))
            out, rest = out + parts[code], rest[len(code) :]
    return out


def encode(made: logging.LogRecord, **values: Any) -> dict[str, str | None]:
    """The fields of a record."""
    return fields(encoder(**values).encode(made))


class Encode:
    """An encoder without secrets by default, and how often it repaired something."""

    def __init__(self, mask_keys: tuple[str, ...] = (), max_bytes: int = defaults.MAX_FIELD_BYTES) -> None:
        self.repaired = 0
        self.encoder = ExtraEncoder(max_bytes=max_bytes, mask_keys=mask_keys, repaired=self._count)

    def _count(self) -> None:
        self.repaired += 1

    def __call__(self, extra: Mapping[Any, Any]) -> Any:
        """What JSON makes of an extra."""
        return json.loads(self.encoder.encode(extra))

"""From `extra={...}` to the text of `extra_data`: JSON that PostgreSQL can store, with secrets masked."""

import dataclasses
import datetime
import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from json.encoder import encode_basestring
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from dblog.copytext import cut, is_storable, make_storable
from dblog.writing.attributes import OWN_KEYS

MASK: Final = "***"
MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 10_000
"""Values in all: what is nested or shared within itself must not keep the caller busy."""
MAX_REPR_BYTES: Final = 10_000
MAX_BYTES_SHOWN: Final = 64 * 1024
_CACHE_SIZE: Final = 4096
_MAX_INTEGER_BITS: Final = 4096

_AS_TEXT = (UUID, Decimal, PurePath, IPv4Address, IPv6Address, datetime.timedelta)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_LITERALS: Final[dict[object, str]] = {None: "null", True: "true", False: "false"}

_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class ExtraEncoder:
    """Encodes mappings to JSON; flat ones of plain values take a short way, all others a careful one.

    Args:
        max_bytes: Longer JSON is replaced by a note with its beginning.
        mask_keys: Words; a key that has them as consecutive words (`dbPassword`, `api-key`) has its value masked.
        repaired: Called once for each mapping in which something had to be changed to be storable.
    """

    def __init__(self, *, max_bytes: int, mask_keys: Iterable[str], repaired: Callable[[], None]) -> None:
        self._max_bytes = max_bytes
        self._secrets = tuple("_" + "_".join(_words(key)) + "_" for key in mask_keys)
        self.known_keys: dict[str, str | None] = {}
        self._repaired = repaired

    def encode(self, extra: Mapping[Any, Any]) -> str:
        """The JSON text of a mapping; never raises for what the mapping holds."""
        whole, changed = self.encode_flat(extra.items()), False
        if not whole:
            whole, changed = self._encode_carefully(extra)
        text = self._bounded(whole) if len(whole) * 4 > self._max_bytes else whole
        if changed or text is not whole:
            self._repaired()
        return text

    def encode_flat(  # noqa: PLR0912 - one pass without calls in between: this runs in the application's thread
        self, items: Iterable[tuple[Any, Any]], passed_over: Set[object] = frozenset()
    ) -> str | None:
        """The JSON of strings and numbers under harmless keys, empty for nothing; None where anything else is found.

        Args:
            items: The keys and their values.
            passed_over: Keys that are left out.
        """
        text, mark = "", "{"
        known = self.known_keys
        for key, value in items:
            if type(key) is not str:
                return None
            name = known.get(key)
            if name is None:
                if key in passed_over:
                    continue
                if (name := self._remember(key)) is None:
                    return None
            kind = type(value)
            if kind is str:
                if value.isprintable() and '"' not in value and "\\" not in value:
                    text = f'{text}{mark}{name}"{value}"'
                elif is_storable(value):
                    text = f"{text}{mark}{name}{encode_basestring(value)}"
                else:
                    return None
            elif kind is int and -(2**63) < value < 2**63:
                text = f"{text}{mark}{name}{value}"
            elif kind is bool or value is None:
                text = f"{text}{mark}{name}{_LITERALS[value]}"
            elif kind is float and math.isfinite(value):
                text = f"{text}{mark}{name}{value!r}"
            else:
                return None
            mark = ","
        return text and f"{text}}}"

    def _remember(self, key: str) -> str | None:
        """The JSON of a harmless key with its colon; None for secret and odd ones, which are looked at each time."""
        if key in OWN_KEYS or not is_storable(key) or self.is_secret(key):
            return None
        if len(self.known_keys) >= _CACHE_SIZE:
            self.known_keys.clear()
        self.known_keys[key] = text = encode_basestring(key) + ":"
        return text

    def is_secret(self, key: str) -> bool:
        """True where a key's words say that its value is nobody's business."""
        name = "_" + "_".join(_words(key)) + "_"
        return any(secret in name for secret in self._secrets)

    def _encode_carefully(self, extra: Mapping[Any, Any]) -> tuple[str, bool]:
        """The JSON, and whether something had to be changed for it."""
        cleaner = _Cleaner(self.is_secret, self._max_bytes)
        try:
            text = _dump(cleaner.mapping(extra, 1))
        except Exception as error:  # noqa: BLE001 - whatever an object does when it is looked at, the record counts
            cleaner.changed = True
            text = _dump({"dblog_error": f"extra could not be encoded: {type(error).__name__}"})
        return text, cleaner.changed

    def _bounded(self, text: str) -> str:
        size = len(text.encode())
        if size <= self._max_bytes:
            return text
        return _dump({"dblog_error": f"extra of {size} bytes was cut", "beginning": cut(text, self._max_bytes // 8)})


class _Cleaner:
    """Turns any value into one that JSON and PostgreSQL can hold; notes whether something got lost in that."""

    def __init__(self, is_secret: Callable[[str], bool], max_chars: int) -> None:
        self.changed = False
        self._is_secret = is_secret
        self._parents: set[int] = set()
        self._items_left = MAX_ITEMS
        self._chars_left = max_chars

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, object]:
        cleaned: dict[str, object] = {}
        for index, (key, item) in enumerate(value.items()):
            if self._is_spent():
                cleaned["dblog_error"] = f"{len(value) - index} more keys were cut"
                break
            name = key if type(key) is str else str(key)
            cleaned[self._text(name)] = MASK if self._is_secret(name) else self._value(item, depth)
        return cleaned

    def _is_spent(self) -> bool:
        """Count one more value; True where there were too many."""
        self._items_left -= 1
        spent = self._items_left < 0 or self._chars_left < 0
        self.changed |= spent
        return spent

    def _value(self, value: object, depth: int) -> object:
        try:
            return self._converted(value, depth)
        except Exception as error:  # noqa: BLE001 - an object that cannot be looked at must not cost the other values
            self.changed = True
            return f"<{type(value).__name__}: {type(error).__name__} when looked at>"

    def _converted(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self._value(value.value, depth + 1) if depth <= MAX_DEPTH else self._unknown(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, bytes | bytearray):
            return self._bytes(value)
        if isinstance(value, datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, _AS_TEXT):
            return str(value)
        return self._container(value, depth)

    def _container(self, value: object, depth: int) -> object:
        if depth > MAX_DEPTH or id(value) in self._parents:
            self.changed = True
            return "[cycle]" if id(value) in self._parents else "[too deep]"
        self._parents.add(id(value))
        try:
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return self.mapping({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, depth + 1)
            if isinstance(value, Mapping):
                return self.mapping(value, depth + 1)
            if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a named one, and a name may be a secret's
                return self.mapping(value._asdict(), depth + 1)
            if isinstance(value, list | tuple | set | frozenset | deque):
                return self._sequence(value, depth + 1)
            return self._unknown(value)
        finally:
            self._parents.discard(id(value))

    def _sequence(self, value: Iterable[object], depth: int) -> list[object]:
        items = list(value)
        cleaned: list[object] = []
        for index, item in enumerate(items):
            if self._is_spent():
                cleaned.append(f"[{len(items) - index} more items were cut]")
                break
            cleaned.append(self._value(item, depth))
        return cleaned

    def _text(self, value: str) -> str:
        self._chars_left -= len(value)
        if is_storable(value):
            return str.__str__(value)
        self.changed = True
        return make_storable(value)

    def _bytes(self, value: bytes | bytearray) -> str:
        shown = bytes(value[:MAX_BYTES_SHOWN]).decode("utf-8", "backslashreplace")
        if len(value) <= MAX_BYTES_SHOWN:
            return self._text(shown)
        self.changed = True
        return self._text(f"{shown}… [cut by dblog: {len(value)} bytes in all]")

    def _number(self, value: int | float) -> object:
        if isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            self.changed = True
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if value.bit_length() > _MAX_INTEGER_BITS:
            self.changed = True
            return cut(hex(value), MAX_REPR_BYTES)
        return int(value)

    def _unknown(self, value: object) -> str:
        self.changed = True
        try:
            text = repr(value)
        except Exception as error:  # noqa: BLE001 - a broken __repr__ must not cost the record
            text = f"<{type(value).__name__}: repr() raised {type(error).__name__}>"
        return self._text(cut(text, MAX_REPR_BYTES))


def _words(key: str) -> list[str]:
    """`dbPassword`, `db-password` and `DB_PASSWORD` are all `db`, `password`."""
    return [word.lower() for word in _WORDS.findall(key)]

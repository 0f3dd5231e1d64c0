"""From `extra` to JSON: everything storable comes out as it went in, everything else visibly changed."""

import datetime
import enum
import json
import math
from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog import defaults
from dblog.writing.extra import MASK, MAX_DEPTH, MAX_ITEMS, ExtraEncoder

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-(2**1000), 2**1000) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | STORABLE,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(STORABLE, children, max_size=4),
    max_leaves=12,
)


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


@given(extra=st.dictionaries(STORABLE, JSON, max_size=5))
def test_json_goes_in_and_comes_out(extra: dict[str, object]) -> None:
    """What JSON and PostgreSQL can hold is not changed, however it is nested."""
    encode = Encode()
    assert encode(extra) == extra
    assert encode.repaired == 0


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


class Number(enum.IntEnum):
    """An enumeration of numbers."""

    ONE = 1


@dataclass
class Point:
    """A dataclass."""

    x: int
    password: str


Named = namedtuple("Named", ["user", "password"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Color.RED, "red"),
        (Number.ONE, 1),
        (Point(1, "p"), {"x": 1, "password": "p"}),
        (Named("u", "p"), {"user": "u", "password": "p"}),
        (OrderedDict(a=1), {"a": 1}),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (frozenset("a"), ["a"]),
        (deque([1]), [1]),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/tmp/x"), "/tmp/x"),
        (datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC), "2026-11-21T00:00:00+00:00"),
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.timedelta(days=1), "1 day, 0:00:00"),
        (b"ab\xff", "ab\\xff"),
        (bytearray(b"x"), "x"),
        ({1: "one", None: 2}, {"1": "one", "None": 2}),
    ],
    ids=repr,
)
def test_common_values_have_a_natural_form(value: object, text: object) -> None:
    """Values that JSON does not know but everybody logs are written as one expects, and that counts as no repair."""
    encode = Encode()
    assert encode({"value": value}) == {"value": text}
    assert encode.repaired == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("a\0b", "a\\x00b"),
        ("\ud800", "\\ud800"),
        (b"\0", "\\x00"),
        ([{"k": "\0"}], [{"k": "\\x00"}]),
        ({"\0": 1}, {"\\x00": 1}),
    ],
    ids=ascii,
)
def test_what_cannot_be_stored_is_shown_and_counted(value: object, text: object) -> None:
    """Each value that PostgreSQL would refuse is replaced by what it looks like, and the record counts as repaired."""
    encode = Encode()
    assert encode({"value": value, "other": 1}) == {"value": text, "other": 1}
    assert encode.repaired == 1


def test_huge_integers_are_cut_hexadecimals() -> None:
    """A number of a million digits costs neither time nor a row."""
    text = Encode()({"n": 1 << 10_000_000})["n"]
    assert text.startswith("0x1000")
    assert "cut by dblog" in text


class Broken:
    """An object that fails in every way that it can."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Treacherous:
    """An object that cannot be asked for anything, not even for its class."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("no attributes")


class EndlessMapping(Mapping[str, object]):
    """A mapping that fails while it is read."""

    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("kind", [Broken, Treacherous, EndlessMapping])
def test_an_object_that_fails_costs_only_itself(kind: type) -> None:
    """The other values are kept, the broken one says what happened."""
    encode, value = Encode(), kind()
    found = encode({"bad": value, "nested": [value, 1], "good": "kept"})
    assert found["good"] == "kept"
    assert found["nested"][1] == 1
    assert found["bad"].startswith("<")
    assert encode.repaired == 1


def test_unknown_objects_are_shown_by_repr() -> None:
    """An object of a kind that JSON does not know appears as its repr, cut if that is long."""
    encode = Encode()
    assert encode({"value": range(3)}) == {"value": "range(0, 3)"}
    assert len(encode({"value": type("Long", (), {"__repr__": lambda _: "x" * 10**6})()})["value"]) <= 10_000


def test_cycles_and_depth_end() -> None:
    """What contains itself, and what is nested too deeply, ends in a note."""
    encode = Encode()
    loop: dict[str, object] = {"name": "loop"}
    loop["self"] = [loop]
    assert encode({"value": loop}) == {"value": {"name": "loop", "self": ["[cycle]"]}}
    deep: list[object] = []
    for _ in range(MAX_DEPTH * 100):
        deep = [deep]
    assert "[too deep]" in json.dumps(encode({"value": deep}))
    shared = [1]
    assert encode({"value": [shared, shared]}) == {"value": [[1], [1]]}


def test_shared_lists_do_not_explode() -> None:
    """A structure that is small in memory but endless when written out is cut, at a bounded cost."""
    bomb: list[object] = ["x" * 1000]
    for _ in range(30):
        bomb = [bomb, bomb]
    calls = []

    class Counting(list[object]):
        def __iter__(self) -> Iterator[object]:
            calls.append(1)
            assert len(calls) <= MAX_ITEMS + 1, "more values were looked at than are kept"
            return super().__iter__()

    laughs = Counting([1])
    for _ in range(30):
        laughs = Counting([laughs, laughs])
    encode = Encode()
    assert encode({"bomb": bomb})
    assert encode({"laughs": laughs})
    assert calls
    assert encode.repaired == 2


def test_long_collections_are_cut_with_a_note() -> None:
    """Of a list and of a mapping with too many items the first ones are kept, and how many were not."""
    encode = Encode()
    found = encode({"many": list(range(MAX_ITEMS + 5))})["many"]
    assert found[:3] == [0, 1, 2]
    assert found[-1] == f"[{MAX_ITEMS + 5 - (len(found) - 1)} more items were cut]"
    mapping = encode({"many": {str(number): number for number in range(MAX_ITEMS + 5)}})["many"]
    assert mapping["dblog_error"] == f"{MAX_ITEMS + 5 - (len(mapping) - 1)} more keys were cut"


def test_too_long_json_is_replaced_by_its_beginning() -> None:
    """An extra that exceeds the limit fits afterwards, is valid, and says how long it was."""
    encode = Encode(max_bytes=1000)
    extra = {"text": "é" * 2000}
    text = encode.encoder.encode(extra)
    assert len(text.encode()) <= 1000
    assert (
        json.loads(text)["dblog_error"]
        == f"extra of {len(json.dumps(extra, ensure_ascii=False)) + 2000 - 1} bytes was cut"
    )
    assert json.loads(text)["beginning"].startswith('{"text":"éé')


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "db_password",
        "dbPassword",
        "DBPassword",
        "db-password",
        "Password2",
        "password_hash",
        "apiKey",
        "API_KEY",
        "X-Api-Key",
        "apikey",
        "Authorization",
        "set-cookie",
        "access_token",
        "sessionId",
        "clientSecret",
    ],
)
def test_secrets_are_masked_in_any_style(key: str) -> None:
    """A key that has a secret word in it hides its value, flat and nested, whatever the value is."""
    encode = Encode(defaults.MASK_KEYS)
    extra = {key: "hunter2", "a": {"b": [{key: {"c": "hunter2"}}]}, "point": {key: None}}
    assert encode(extra) == {key: MASK, "a": {"b": [{key: MASK}]}, "point": {key: MASK}}
    assert encode({key: "hunter2"}) == {key: MASK}


@pytest.mark.parametrize(
    "key", ["passwordless", "tokenizer", "max_tokens", "secretary", "compass", "key", "api", "session"]
)
def test_other_keys_are_not_masked(key: str) -> None:
    """Words that only contain a secret word keep their values."""
    assert Encode(defaults.MASK_KEYS)({key: 1}) == {key: 1}


def test_the_words_can_be_chosen() -> None:
    """Other words than the default ones can be masked instead, also in dataclasses and named tuples."""
    encode = Encode(("credit card", "x"))
    assert encode({"creditCard": 1, "password": 2}) == {"creditCard": MASK, "password": 2}
    assert encode({"p": Point(1, "p")}) == {"p": {"x": MASK, "password": "p"}}
    encode = Encode(("password",))
    assert encode({"n": Named("u", "p")}) == {"n": {"user": "u", "password": MASK}}


ODD = st.sampled_from([math.nan, "\0", "\ud800", 1 << 9000, print]) | st.sampled_from(
    [Broken, EndlessMapping, object]
).map(lambda kind: kind())


@given(extra=st.recursive(ODD, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)))
def test_nothing_raises(extra: object) -> None:
    """Whatever is in an extra, there is a JSON text that UTF-8 can carry."""
    assert isinstance(json.loads(Encode().encoder.encode({"value": extra}).encode()), dict)


def test_a_key_that_fails_is_noted() -> None:
    """Where even the keys cannot be read, the record says so instead of its extra."""

    class BadKey:
        def __str__(self) -> str:
            raise RuntimeError("no str")

    found = Encode()({BadKey(): 1})
    assert found == {"dblog_error": "extra could not be encoded: RuntimeError"}


def test_many_bytes_are_cut_before_they_are_shown() -> None:
    """Of a large `bytes` value the beginning is stored, with a mark, and it counts as changed."""
    encode = Encode()
    shown = encode({"body": b"\xff" * 1_000_000})["body"]
    assert shown.startswith("\\xff\\xff")
    assert shown.endswith("… [cut by dblog: 1000000 bytes in all]")
    assert len(shown) < 300_000
    assert encode.repaired == 1

"""From `extra` to JSON: everything storable comes out as it went in, everything else visibly changed."""

import datetime
import enum
import math
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from encoded import Encode
from hypothesis import given
from hypothesis import strategies as st

from dblog import defaults
from dblog.writing.extra import MASK

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-(2**1000), 2**1000) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | STORABLE,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(STORABLE, children, max_size=4),
    max_leaves=12,
)


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


def test_unknown_objects_are_shown_by_repr() -> None:
    """An object of a kind that JSON does not know appears as its repr, cut if that is long."""
    encode = Encode()
    assert encode({"value": range(3)}) == {"value": "range(0, 3)"}
    assert len(encode({"value": type("Long", (), {"__repr__": lambda _: "x" * 10**6})()})["value"]) <= 10_000


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

"""Objects in `extra` that fail, never end or are far too long: each costs its own value, or a part of it."""

import json
import math
from collections.abc import Iterator, Mapping

import pytest
from encoded import Encode
from hypothesis import given
from hypothesis import strategies as st

from dblog.writing.extra import MAX_DEPTH, MAX_ITEMS


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


ODD = st.sampled_from([math.nan, "\0", "\ud800", 1 << 9000, print]) | st.sampled_from(
    [Broken, EndlessMapping, object]
).map(lambda kind: kind())


@pytest.mark.parametrize("kind", [Broken, Treacherous, EndlessMapping])
def test_an_object_that_fails_costs_only_itself(kind: type) -> None:
    """The other values are kept, the broken one says what happened."""
    encode, value = Encode(), kind()
    found = encode({"bad": value, "nested": [value, 1], "good": "kept"})
    assert found["good"] == "kept"
    assert found["nested"][1] == 1
    assert found["bad"].startswith("<")
    assert encode.repaired == 1


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


def test_huge_integers_are_cut_hexadecimals() -> None:
    """A number of a million digits costs neither time nor a row."""
    text = Encode()({"n": 1 << 10_000_000})["n"]
    assert text.startswith("0x1000")
    assert "cut by dblog" in text


def test_many_bytes_are_cut_before_they_are_shown() -> None:
    """Of a large `bytes` value the beginning is stored, with a mark, and it counts as changed."""
    encode = Encode()
    shown = encode({"body": b"\xff" * 1_000_000})["body"]
    assert shown.startswith("\\xff\\xff")
    assert shown.endswith("… [cut by dblog: 1000000 bytes in all]")
    assert len(shown) < 300_000
    assert encode.repaired == 1

"""Rows as COPY reads them, back as values."""

import logging
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.columns import COLUMN_NAMES
from dblog.reading.copied import completed, decode
from dblog.writing.row import RowEncoder

PREFIX = b"0123456789abcdef0123456789abcdef\t7\t"
ENCODER = RowEncoder(service=None, hostname="web-1", max_field_bytes=65_536, mask_keys=())
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)


@given(TEXTS, TEXTS, st.dictionaries(TEXTS.filter(str.isidentifier), TEXTS | st.integers(-(2**53), 2**53), max_size=3))
def test_what_was_encoded_is_read_back(message: str, name: str, extra: dict[str, Any]) -> None:
    """Every text and number of a record comes back as it was."""
    record = logging.LogRecord(name, 20, "shop.py", 3, message, None, None)
    known = set(record.__dict__) | {"message", "asctime", "taskName"}
    added = {f"x_{key}": value for key, value in extra.items() if f"x_{key}" not in known}
    record.__dict__.update(added)
    row = decode(PREFIX + ENCODER.encode(record), COLUMN_NAMES)
    assert (row["message"], row["logger_name"], row["extra_data"] or {}) == (message, name, added)
    assert (row["batch_seq"], row["level_no"], row["lineno"], row["service"]) == (7, 20, 3, None)
    assert isinstance(row["timestamp"], datetime)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (rb"a\tb\nc\rd\\e", "a\tb\nc\rd\\e"),
        (rb"\b\f\v\x1e\x41g\101\q", "\b\f\v\x1eAgAq"),
        (rb"\\N", "\\N"),
        (rb"\N", None),
        (b"", ""),
    ],
)
def test_escapes_are_those_of_copy(field: bytes, text: str | None) -> None:
    """Named, octal and hexadecimal escapes are understood, and other letters stand for themselves."""
    assert decode(field + b"\n", ["message"]) == {"message": text}


@pytest.mark.parametrize(
    ("line", "columns", "complaint"),
    [
        (b"a\tb", ["message"], "2 fields where 1 belong"),
        (b"a", ["message", "level"], "1 fields where 2 belong"),
        (b"\xff", ["message"], "utf-8"),
        (b"x", ["level_no"], "invalid literal"),
        (b"x", ["timestamp"], "isoformat"),
        (b"{", ["extra_data"], "Expecting"),
        (b"[" * 100_000, ["extra_data"], "nested too deeply"),
    ],
)
def test_what_is_no_row_is_refused(line: bytes, columns: list[str], complaint: str) -> None:
    """Too many or too few fields, other bytes than UTF-8, and values of another type are errors."""
    with pytest.raises(ValueError, match=complaint):
        decode(line, columns)


def test_other_columns_are_text_and_missing_ones_have_a_stand_in() -> None:
    """Rows of another release can be shown."""
    row = completed(decode(b"red\thello", ["colour", "message"]))
    assert (row["colour"], row["message"], row["level"], row["level_no"], row["exception"]) == (
        "red", "hello", "", 0, None,
    )  # fmt: skip

"""Rendering: nothing that a record holds can steer the terminal, and nothing is lost in JSON."""

import csv
import io
import json
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.cli.render import COLUMNS, FORMS, Style, to_json
from dblog.escapes import printable

ROW: dict[str, Any] = dict.fromkeys(COLUMNS) | {
    "timestamp": datetime(2026, 11, 21, 10, 0, 0, 123_456, tzinfo=UTC),
    "level": "INFO",
    "level_no": 20,
    "hostname": "web-1",
    "logger_name": "app",
    "message": "hello",
}
STORABLE = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


HARMLESS = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cn", "Cs", "Zl", "Zp"], include_characters="\n\t")
)


def render(form: str, *rows: dict[str, Any], colour: bool = False) -> str:
    """The output for some rows."""
    style = Style(form, timezone(timedelta(hours=1)), colour)
    return "".join(line + "\n" for line in FORMS[form]((ROW | row for row in rows), style))


def steering(text: str) -> list[str]:
    """The characters that a terminal might obey."""
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in "\n\t"]


@given(text=STORABLE, key=STORABLE)
@pytest.mark.parametrize("form", FORMS)
def test_no_record_can_steer_the_terminal(form: str, text: str, key: str) -> None:
    """Whatever a record holds, in whatever form, no control character comes out."""
    names = ("message", "level", "hostname", "logger_name", "exception", "exception_type", "stack_info", "service")
    out = render(form, dict.fromkeys(names, text) | {"extra_data": {key: [text, {key: text}]}})
    assert steering(out) == []


@given(text=STORABLE)
def test_no_record_can_pretend_to_be_another(text: str) -> None:
    """In text, every line but the first of a record is indented, so that a line break cannot forge a record."""
    first, *more = render("text", {"message": text, "exception": text, "extra_data": {text: text}}).split("\n")[:-1]
    assert first.startswith("2026-11-21 11:00:00.123+01:00 web-1[-] INFO     app: ")
    assert all(line.startswith("    ") for line in more)


@given(
    extra=st.recursive(
        st.none() | st.booleans() | st.integers() | STORABLE, lambda inner: st.dictionaries(STORABLE, inner)
    )
)
def test_json_is_exact(extra: object) -> None:
    """JSON carries every character and every type, although control characters are written as escapes."""
    found = json.loads(render("jsonl", {"message": str(extra), "extra_data": extra}))
    assert found["extra_data"] == extra
    assert found["message"] == str(extra)
    assert json.loads(to_json(extra)) == extra


@given(texts=st.lists(HARMLESS, min_size=3, max_size=3))
def test_csv_keeps_fields_apart(texts: list[str]) -> None:
    """Quotes, commas and line breaks within a value stay within its field."""
    row = dict(zip(("message", "service", "exception"), texts, strict=True))
    (found,) = csv.DictReader(io.StringIO(render("csv", row), newline=""))
    assert {name: found[name] for name in row} == row


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 日本 👩‍🚀", "plain äöü 日本 👩‍🚀"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\a"),
        ("a\r\nb\tc", "a\\r\\nb\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ufeff\U000e0041", "\\ufeff\\U000e0041"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Control characters and what turns the direction of writing are shown as escapes; all scripts stay readable."""
    assert printable(text) == shown


def test_extras_are_pairs() -> None:
    """Extras follow the message as key=value; only what could be misread is quoted."""
    extra = {"user_id": 42, "name": "anna", "note": "two words", "ok": True, "none": None, "nested": {"a": [1.5]}}
    line = render("text", {"extra_data": extra})
    assert line.endswith('hello user_id=42 name=anna note="two words" ok=true none=null nested={"a": [1.5]}\n')


def test_levels_have_colours() -> None:
    """With colour, the level's word is coloured by its number and nothing else is."""
    line = render("text", {"level": "NOTICE", "level_no": 35}, colour=True)
    assert "\x1b[33mNOTICE  \x1b[0m app: hello" in line


def test_markup_is_text() -> None:
    """What looks like markup of the table's library stays as it is."""
    assert "[red]x[/red]" in render("table", {"message": "[red]x[/red]"})

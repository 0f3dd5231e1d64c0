"""The text format of COPY: what PostgreSQL reads back is what was escaped."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import Server

from dblog.copytext import before_escape, cut, escape, is_storable, make_storable, unescape

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ANY = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800\udcff\\\n\t\r\x1e"))


@given(texts=st.lists(STORABLE, min_size=1))
def test_postgresql_reads_back_what_was_escaped(server: Server, texts: list[str]) -> None:
    """Any text that PostgreSQL can store comes out of COPY as it went in."""
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TEMP TABLE back (number integer, content text)")
        with connection.cursor().copy("COPY back FROM STDIN") as copy:
            copy.write("".join(f"{number}\t{escape(text)}\n" for number, text in enumerate(texts)))
        found = connection.execute("SELECT content FROM back ORDER BY number").fetchall()
    assert [row[0] for row in found] == texts


@given(text=STORABLE)
def test_escaped_text_has_no_separators(text: str) -> None:
    """An escaped text never ends a field, a line or a frame of the spool."""
    assert not set(escape(text)) & set("\n\r\t\x1e")


@given(text=ANY)
def test_what_was_escaped_comes_back(text: str) -> None:
    """Both ways back, the one for all of COPY's escapes and the fast one for ours, lead to what was escaped."""
    assert unescape(escape(text)) == before_escape(escape(text)) == text


@given(pieces=st.lists(ANY))
def test_pieces_can_be_escaped_apart(pieces: list[str]) -> None:
    """The escaped pieces of a text are the escaped text, in pieces."""
    assert "".join(map(escape, pieces)) == escape("".join(pieces))


@given(text=ANY)
def test_any_text_can_be_made_storable(text: str) -> None:
    """What was made storable is UTF-8 without NUL, and text that was storable before is left alone."""
    made = make_storable(text)
    assert b"\0" not in made.encode()
    assert is_storable(made)
    assert is_storable(text) == (made == text)


def test_what_cannot_be_stored_is_shown() -> None:
    """NUL and lone surrogates become visible, whole pairs and everything else stay."""
    assert make_storable("a\0b\udc80c😀\u2028") == "a\\x00b\\udc80c😀\u2028"


@given(text=STORABLE, max_bytes=st.integers(64, 400))
def test_a_cut_text_fits(text: str, max_bytes: int) -> None:
    """A text is cut only if it is too long; then it fits, ends between characters, and says how long it was."""
    text *= 20
    short = cut(text, max_bytes)
    size = len(text.encode())
    assert (short == text) == (size <= max_bytes)
    assert len(short.encode()) <= max_bytes or size <= max_bytes
    if short != text:
        beginning, _, mark = short.rpartition("… [")
        assert text.startswith(beginning)
        assert mark == f"cut by dblog: {size} bytes in all]"


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_cutting_wastes_less_than_a_character(character: str) -> None:
    """As much of a text is kept as fits beside the mark."""
    short = cut(character * 1000, 200)
    assert 200 - len(short.encode()) < len(character.encode())

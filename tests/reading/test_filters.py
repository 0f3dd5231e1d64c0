"""The filter language: what is understood, and what is said about what is not."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.errors import UsageError
from dblog.reading.fields import FIELDS, Field, Kind
from dblog.reading.filters import MAX_DEPTH, MAX_LENGTH, parse
from dblog.reading.terms import (
    Comparison,
    Conjunction,
    Disjunction,
    Filter,
    Negation,
    Phrase,
    Value,
)


def compared(name: str, *values: Value, operator: str = "=") -> Comparison:
    """The comparison of a field that has a column of its own."""
    return Comparison(FIELDS[name], operator, values)


ALPHABET = '()"\\-*:,<>= \t\nORANDNOTlevelextra.a_b1'


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Conjunction(())),
        (" \n ", Conjunction(())),
        ("timeout", Phrase("timeout")),
        ('"connection reset"', Phrase("connection reset")),
        (r'"a \"b\" C:\new \\"', Phrase(r'a "b" C:\new ' + "\\")),
        ("10:30:00", Phrase("10:30:00")),
        ("a-b", Phrase("a-b")),
        ("-a", Negation(Phrase("a"))),
        ("NOT a", Negation(Phrase("a"))),
        ("--a", Phrase("a")),
        ("a b", Conjunction((Phrase("a"), Phrase("b")))),
        ("a AND b", Conjunction((Phrase("a"), Phrase("b")))),
        ("a b OR c", Disjunction((Conjunction((Phrase("a"), Phrase("b"))), Phrase("c")))),
        ("a (b OR -c)", Conjunction((Phrase("a"), Disjunction((Phrase("b"), Negation(Phrase("c"))))))),
        ("ORDER android", Conjunction((Phrase("ORDER"), Phrase("android")))),
        ("level>=warning", compared("level", Value("warning"), operator=">=")),
        ("level=info", compared("level", Value("info"))),
        ("logger:app.db.*", compared("logger", Value("app.db.*"))),
        ("host:a,b", compared("host", Value("a"), Value("b"))),
        ('host:"a,b",c', compared("host", Value("a,b", quoted=True), Value("c"))),
        ("function:<lambda>", compared("function", Value("<lambda>"))),
        ("hostname:a", compared("host", Value("a"))),
        ("line<-3", compared("line", Value("-3"), operator="<")),
        (
            "extra.user_id:42",
            Comparison(Field("extra.user_id", "extra_data", Kind.EXTRA, ("user_id",)), "=", (Value("42"),)),
        ),
        (
            'extra."a.b".c>1.5e3',
            Comparison(Field('extra."a.b".c', "extra_data", Kind.EXTRA, ("a.b", "c")), ">", (Value("1.5e3"),)),
        ),
    ],
)
def test_a_filter_is_understood(text: str, tree: Filter) -> None:
    """Words, phrases, fields, negation, OR and parentheses mean what the grammar says."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("levl>=warning", "position 1: 'levl>=warning': unknown field levl; did you mean level?"),
        ("ok logr:x", "position 4: 'logr:x': unknown field logr; did you mean logger?"),
        ("http://x", "unknown field http; accepted: level, level_no, logger"),
        ("timestamp>1", "times are given by --since and --until"),
        ("extra:1", "extra needs a key"),
        ("level>=loud", "the number of level 'loud' is not known"),
        ("level>=9223372036854775808", "not accepted; level takes a level by name or number"),
        ("pid:many", "'many' is not accepted; pid takes a whole number"),
        ("pid:99999999999999999999", "pid takes a whole number"),
        ("logger>=a", "logger has no order; accepted: logger:value"),
        ("line>=1,2", "a comparison takes one value"),
        ("extra.ms>fast", "'fast' is not a number"),
        ("writer:12", "writer takes a UUID"),
        ("writer:00000000-0000-0000-0000-00000000000-", "writer takes a UUID"),
        ("level:", "position 1: 'level:': a value is missing; level takes"),
        ("host:a,,b", "a value is missing"),
        ('"open', "position 1: '\"open': the quote is not closed"),
        ("(a", "position 1: '(a': the parenthesis is not closed"),
        ("a)", "position 2: ')': a closing parenthesis without an opening one"),
        ("call(x)", "in quotes as a whole"),
        ("a OR", "position 5: a term is missing here"),
        ("()", "a term is missing here"),
        ("- a", "stands directly before the term"),
        ("a\0b", "position 2: '\\x00' cannot be searched for"),
        ("\udcff", "cannot be searched for"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} parentheses"),
        ("a" * (MAX_LENGTH + 1), f"accepted: up to {MAX_LENGTH}"),
    ],
)
def test_a_mistake_is_named(text: str, said: str) -> None:
    """An error says where the term is, what is wrong with it and what is accepted."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in str(caught.value)


@given(st.one_of(st.text(), st.text(alphabet=ALPHABET, max_size=60)))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Whatever is typed, the parser returns a filter or raises a UsageError."""
    with contextlib.suppress(UsageError):
        parse(text)

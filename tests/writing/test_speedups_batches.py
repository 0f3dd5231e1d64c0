"""Batches that are put together compiled are those that Python makes."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
from encoded import NOW, encoder, record
from hypothesis import given
from hypothesis import strategies as st

from dblog.writing.linequeue import assemble

Assemble = Callable[[bytes, list[bytes]], tuple[bytes, Mapping[int, int], bytes, bytes]]

LEVELS = st.sampled_from([-7, -1, 0, 7, 10, 20, 63, 64, 2**31 - 1, 1 - 2**31])
TEXTS = st.text(max_size=20) | st.sampled_from(["tab\t", "nul\0", "\ud800", "é€😀"])
STAMP = b"2026-11-21 05:33:55.123456+00"
LINE = STAMP + b"\t20\tINFO\n"


@pytest.fixture(scope="module")
def compiled() -> Assemble:
    """The compiled function; without it these tests are skipped."""
    module: ModuleType = pytest.importorskip(
        "dblog_speedups", reason="dblog-speedups is missing: pip install ./speedups"
    )
    made: Assemble = module.assemble
    return made


@given(lines=st.lists(st.tuples(st.floats(NOW, NOW + 3), LEVELS, TEXTS), min_size=1), prefix=st.binary(max_size=9))
def test_both_ways_make_the_same_batches(
    compiled: Assemble, lines: list[tuple[float, int, str]], prefix: bytes
) -> None:
    """A batch has the same bytes, levels and times, whoever puts its lines together."""
    rows, made = encoder(), []
    for created, level, text in lines:
        each = record(text, level=level)
        each.created = created
        made.append(rows.encode(each))
    assert compiled(prefix, made) == assemble(prefix, made)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"2026-11-21",
        STAMP + b"\t20",
        b"x" * 100,
        STAMP + b"\t\t",
        STAMP + b"\t-\t",
        STAMP + b"\t" + b"9" * 25 + b"\t",
    ],
)
def test_what_is_no_line_is_refused(compiled: Assemble, line: bytes) -> None:
    """Nothing is read beyond the end of something that is no line."""
    with pytest.raises(ValueError, match="does not begin with its timestamp and level"):
        compiled(b"", [LINE, line])


@pytest.mark.parametrize("arguments", [(None, [LINE]), (b"", None), (b"", (LINE,)), (b"", [LINE, None]), (b"", ["x"])])
def test_what_is_not_of_bytes_is_refused(compiled: Assemble, arguments: Any) -> None:
    """Nothing else is taken for bytes, or for a list of them, and `None` is neither."""
    with pytest.raises(TypeError):
        compiled(*arguments)


def test_a_batch_without_lines_is_refused(compiled: Assemble) -> None:
    """Where there is no line there are no times, and nobody makes some up."""
    for each in (compiled, assemble):
        with pytest.raises(ValueError):  # noqa: PT011 - the words of Python are its own
            each(b"", [])

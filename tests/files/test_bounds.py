"""Which rotated files have to go."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dblog.files.rotated.bounds import Bounds, expired, surplus
from dblog.files.rotated.limits import Limits
from dblog.files.settings import FileSettings

NOW = 1_000_000.0


@dataclass(frozen=True)
class File:
    """A rotated file."""

    size: int
    mtime: float


FILES = st.lists(st.builds(File, st.integers(0, 100), st.floats(0, NOW)), max_size=20)
BOUNDS = st.builds(
    Bounds,
    st.none() | st.integers(1, 20),
    st.none() | st.floats(1, NOW),
    st.none() | st.integers(0, 1000),
)


@given(FILES, st.integers(0, 200), BOUNDS)
def test_what_stays_is_within_the_bounds(files: list[File], live: int, bounds: Bounds) -> None:
    """The oldest go, no more than needed, until what stays is few, small and young enough."""
    taken = live + sum(file.size for file in files)
    gone = list(surplus(files, len(files), taken, NOW, bounds))
    kept = files[len(gone) :]
    assert gone == files[: len(gone)]
    assert bounds.count is None or len(kept) <= bounds.count
    assert bounds.max_total is None or not kept or live + sum(file.size for file in kept) <= bounds.max_total
    assert bounds.max_age is None or not kept or NOW - kept[0].mtime <= bounds.max_age
    if gone and bounds.max_age is None:
        back = [gone[-1], *kept]
        many = bounds.count is not None and len(back) > bounds.count
        assert many or (bounds.max_total is not None and live + sum(file.size for file in back) > bounds.max_total)


@given(FILES, BOUNDS)
def test_the_old_are_found_wherever_they_stand(files: list[File], bounds: Bounds) -> None:
    """A file that is too old is found behind younger ones, too."""
    old = [file for file in files if bounds.max_age is not None and NOW - file.mtime > bounds.max_age]
    assert list(expired(files, NOW, bounds)) == old


def test_the_total_follows_from_size_and_count() -> None:
    """Without a total of its own, a log may take its size for each of its files."""
    limits = Limits(FileSettings(filename="app.log", max_bytes=1000, backup_count=5))
    assert (limits.max_bytes, limits.bounds.max_total, limits.bounds.count) == (1000, 6000, 5)


def test_a_total_that_follows_yields_to_long_lines() -> None:
    """Lines that are longer than a file should be keep as many files; a total that was given stays."""
    implied = Limits(FileSettings(filename="app.log", max_bytes=1000, backup_count=5))
    given_one = Limits(FileSettings(filename="app.log", max_bytes=1000, backup_count=5, max_total_bytes=3000))
    for limits in (implied, given_one):
        limits.saw(1500)
        limits.saw(10)
    assert implied.bounds.max_total == 9000
    assert given_one.bounds.max_total == 3000


def test_a_total_alone_rotates_at_half_of_it() -> None:
    """Where only a total is given, there is always an older file to give way to new lines."""
    limits = Limits(FileSettings(filename="app.log", max_total_bytes=1000))
    assert (limits.max_bytes, limits.bounds.max_total) == (500, 1000)


def test_no_count_rotates_nothing_by_size() -> None:
    """A size without a count means nothing, as in the standard library."""
    limits = Limits(FileSettings(filename="app.log", max_bytes=1000))
    assert (limits.max_bytes, limits.bounds) == (None, Bounds())

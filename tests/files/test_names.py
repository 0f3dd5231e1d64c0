"""Names of rotated files: made, recognised, and never taken for ours when they are not."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dblog.files.rotated.names import DATES, DAY, PACKINGS, FileNames, Label
from dblog.files.settings import Naming

LIVE = st.sampled_from(["app.log", "app", ".log", "app.2.log", "my app.tar.log", "a[b]*.log", "Größe.log", "app+.txt"])
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 31))  # noqa: DTZ001 - names know no zones
ALL: tuple[Naming, ...] = ("index", "timestamp", "date")
NAMINGS = st.sampled_from(ALL)


@st.composite
def alike(draw: st.DrawFn, count: int) -> list[Label]:
    """Labels of one naming, whichever that is, and of one format of times."""
    naming, form = draw(NAMINGS), draw(st.sampled_from([*DATES.values(), DAY]))
    names = FileNames(Path("x"), naming, date_format=form)
    made = []
    for packing in draw(st.lists(st.sampled_from(PACKINGS), min_size=count, max_size=count)):
        if naming == "index":
            made.append(Label("index", "", draw(st.integers(1, 9_999_999)), packing))
        else:
            label = names.label(draw(TIMES), draw(st.integers(0, 100_000)))
            made.append(Label(naming, label.stamp, label.sequence, packing))
    return made


def labels() -> st.SearchStrategy[Label]:
    """Labels of every naming."""
    return alike(1).map(lambda made: made[0])


@given(LIVE, labels(), NAMINGS)
def test_what_was_made_is_recognised(live: str, label: Label, naming: Naming) -> None:
    """Each name is read as what it was made from, whatever the naming is by then."""
    names = FileNames(Path("/logs") / live, naming)
    assert names.recognise(names.path(label).name) == label


@given(LIVE, labels(), labels())
def test_different_files_have_different_names(live: str, one: Label, other: Label) -> None:
    """No two labels share a name."""
    assume(one != other)
    names = FileNames(Path("/logs") / live, "index")
    assert names.path(one) != names.path(other)


@given(alike(2))
def test_the_order_of_ranks_is_that_of_rotation(two: list[Label]) -> None:
    """Of two files of one naming, the one with the higher index, the earlier time or the lower number is older."""
    one, other = two
    if one.naming == "index":
        assert (one.rank < other.rank) == (one.sequence > other.sequence)
    else:
        assert (one.rank < other.rank) == ((one.stamp, one.sequence) < (other.stamp, other.sequence))


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app.log.bak",
        "app.log.1.orig",
        "app.log.1.bz2",
        "app.log2",
        "app-2.log",
        "app.log.0",
        "app.log.01",
        "app.log.-1",
        "app.log.20261121",
        "app.log-20261121",
        "app.log.1.gz.gz",
        "app.log.1.GZ",
        "app.log.\uff11",
        "app.log.1\n",
        "xapp.log.1",
        "app.log.2026-13-01",
        "app.log.2026-02-30",
        "app.log.2026-11-21.0",
        "app.log.2026-11-21 (copy)",
        "app.20261121_133000",
        "app.20261121_250000.log",
        "app.20261121_133000_0.log",
        "app.20261121_133000.log.bak",
        "app.2026112_133000.log",
        "appX20261121_133000.log",
        "app.1.log",
        ".app.log.lock",
        ".app.log.1.gz.swp",
        "ALERT_LOG_ROTATION_FAILED.txt",
    ],
)
def test_a_foreign_name_is_foreign(name: str) -> None:
    """A name that only resembles ours belongs to somebody else."""
    for naming in ALL:
        assert FileNames(Path("/logs/app.log"), naming).recognise(name) is None


@given(LIVE, st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40))
def test_what_is_recognised_could_have_been_made(live: str, name: str) -> None:
    """Any name that is taken for ours is exactly the one that its label gets."""
    names = FileNames(Path("/logs") / live, "index")
    label = names.recognise(name)
    assert label is None or names.path(label).name == name


def test_the_forms_are_the_promised_ones() -> None:
    """Names look as they are documented."""
    when = datetime(2026, 11, 21, 13, 30, 5)  # noqa: DTZ001 - names know no zones
    live = Path("/logs/app.log")
    stamped = FileNames(live, "timestamp")
    assert str(stamped.path(stamped.label(when))) == "/logs/app.20261121_133005.log"
    assert str(stamped.path(stamped.label(when, 1))) == "/logs/app.20261121_133005_1.log"
    dated = FileNames(live, "date")
    assert str(dated.path(dated.label(when))) == "/logs/app.log.2026-11-21"
    assert str(dated.path(dated.label(when, 2))) == "/logs/app.log.2026-11-21.2"
    assert str(dated.path(Label("index", "", 3, ".gz"))) == "/logs/app.log.3.gz"


@given(labels(), st.sampled_from(["{}.old", "/elsewhere/{name}", "/logs/x-{name}.txt"]))
def test_names_that_an_application_chooses_are_recognised(label: Label, form: str) -> None:
    """What a namer makes is ours where the number or time is still in it, and nothing that it would not have made."""
    names = FileNames(Path("/logs/app.log"), "index", namer=lambda usual: form.format(usual, name=Path(usual).name))
    name = names.path(label).name
    assert names.recognise(name) == label
    assert names.recognise("y" + name) is None


def test_unfinished_files_are_known_by_their_names() -> None:
    """Hidden names of compression are told from all others."""
    names = FileNames(Path("/logs/app.log"), "index")
    assert names.is_unfinished(names.unfinished("4711.gz").name)
    assert names.recognise(names.unfinished("4711.gz").name) is None
    for name in (
        ".app.log.lock",
        ".app.log.4711.gz",
        "app.log.4711.gz.tmp",
        ".app.log.copied.tmp",
        ".app.log.x.gz.tmp",
    ):
        assert not names.is_unfinished(name)

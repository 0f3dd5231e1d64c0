"""What is not for this writer: other databases, other releases, other users, and files of nobody."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from spools import MakeBatch, MakeSpool, contents, drain, leave

from dblog.batch import Batch
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.adoption import Adopted
from dblog.sinks.frames import Header
from dblog.sinks.segments import Trouble


@pytest.fixture
def closed_home() -> Iterator[Path]:
    """A writer's directory that this process cannot enter; root gives up its rights until the end of the test."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        home = Path(place) / f"{2:032x}"
        home.mkdir(mode=0)
        if before == 0:
            os.seteuid(65534)
        yield home
        os.seteuid(before)


def test_another_target_is_left_alone(make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path) -> None:
    """What was written for another database, schema or prefix is not touched in any way."""
    leave(make_spool(2, target="elsewhere"), make_batch(1, writer=2))
    before = contents(tmp_path)
    spool = make_spool(1)
    assert spool.adopt() == Adopted()
    spool.close()
    assert contents(tmp_path) == before


def write(path: Path, header: Header, *batches: Batch) -> None:
    """Write a segment as another release would have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.line + b"".join(frames.encode(batch, header) for batch in batches))


@pytest.mark.parametrize("name", ["00000001.seg", "00000001.journal", "refused-2026-11-21-2-1.seg"])
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ((*COLUMN_NAMES, "mood"), "it has columns that this release does not know: mood"),
        (("writer_id", "message"), "its rows do not begin with writer_id, batch_seq, timestamp, level_no"),
    ],
    ids=["a later release", "an odd one"],
)
def test_unknown_columns_are_left_and_reported_once(
    make_spool: MakeSpool,
    make_batch: MakeBatch,
    tmp_path: Path,
    header: Header,
    troubles: list[Trouble],
    columns: tuple[str, ...],
    reason: str,
    name: str,
) -> None:
    """A file whose rows have columns that are not known stays as it is, and that is said once; others are adopted."""
    home = tmp_path / "spool" / f"{2:032x}"
    other = replace(make_batch(1, writer=2), columns=columns)
    write(home / name, frames.make_header("here", columns), other)
    before = contents(home)
    spool = make_spool(1)
    assert spool.adopt() == Adopted()
    write(home / "00000002.seg", header, make_batch(2, writer=2))
    assert spool.adopt().figures.frames == 1
    assert contents(home) == before | {"lock": b""}
    assert [(trouble.path, trouble.reason) for trouble in troubles] == [(home / name, f"is left where it is: {reason}")]


def test_another_format_is_left_and_reported(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """A segment of a later format stays where it is, and the report names both formats."""
    home = tmp_path / "spool" / f"{2:032x}"
    home.mkdir(parents=True)
    body = b'{"format":2,"target":"here","columns":[]}'
    (home / "00000001.seg").write_bytes(body[:-1] + b',"crc":"%08x"}\n' % crc32(body) + b"anything")
    before = contents(home)
    assert make_spool(1).adopt() == Adopted()
    assert contents(home) == before | {"lock": b""}
    assert [trouble.reason for trouble in troubles] == ["is left where it is: it has format 2, this release reads 1"]


def test_fewer_columns_are_delivered_as_they_are(make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path) -> None:
    """What an earlier release left, with fewer columns or in another order, comes back with its own columns."""
    columns = (*COLUMN_NAMES[:4], "message", "level")
    old = [replace(make_batch(seq, writer=2), columns=columns) for seq in (1, 2)]
    write(tmp_path / "spool" / f"{2:032x}" / "00000001.seg", frames.make_header("here", columns), *old)
    spool = make_spool(1)
    spool.append(make_batch(1))
    assert spool.adopt().figures.frames == 2
    assert list(drain(spool)) == [make_batch(1), *old]


def test_strangers_in_the_directory_are_left_alone(make_spool: MakeSpool, tmp_path: Path) -> None:
    """Directories and files that are no writer's are neither locked nor changed."""
    spool_dir = tmp_path / "spool"
    (spool_dir / "lost+found").mkdir(parents=True)
    (spool_dir / "README").write_text("hello")
    (spool_dir / f"{5:032x}").write_text("a file with a writer's name")
    (spool_dir / f"{6:032x}").mkdir()
    (spool_dir / f"{6:032x}" / "00000001.seg").write_bytes(b"not a segment")
    before = contents(spool_dir)
    spool = make_spool(1)
    assert spool.adopt() == Adopted()
    spool.close()
    after = contents(spool_dir)
    assert {name: data for name, data in after.items() if not name.endswith("lock")} == before
    assert list((spool_dir / "lost+found").iterdir()) == []


def test_other_users_are_left_alone(
    make_spool: MakeSpool, make_batch: MakeBatch, closed_home: Path, troubles: list[Trouble]
) -> None:
    """The directory of another user is passed over without a word, and those of one's own are adopted."""
    leave(make_spool(3, directory=closed_home.parent), make_batch(1, writer=3))
    spool = make_spool(1, directory=closed_home.parent)
    assert spool.adopt().figures.frames == 1
    assert list(drain(spool)) == [make_batch(1, writer=3)]
    spool.close()
    assert list(closed_home.parent.iterdir()) == [closed_home]
    assert troubles == []


def test_without_a_place_of_its_own_nothing_is_adopted(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """A writer that cannot make its own directory leaves all where it is, and says why."""
    leave(make_spool(2), make_batch(1, writer=2))
    (tmp_path / "spool" / f"{1:032x}").write_text("in the way")
    before = contents(tmp_path)
    assert make_spool(1).adopt() == Adopted()
    assert [trouble.reason for trouble in troubles] == ["could not be adopted: Not a directory"]
    assert contents(tmp_path) == before

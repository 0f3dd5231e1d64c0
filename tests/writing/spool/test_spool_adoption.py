"""What dead writers left: taken over by the living, in order and whole."""

from collections import Counter
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, contents, drain, leave

from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.adoption import Adopted
from dblog.sinks.frames import Header
from dblog.sinks.segments import Trouble


def test_adopted_batches_follow_those_that_wait(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """Each call takes over one dead writer, behind what waits already and before what arrives later."""
    old = {writer: [make_batch(seq, writer=writer) for seq in (1, 2)] for writer in (2, 3)}
    for writer, batches in old.items():
        leave(make_spool(writer, segment_bytes=1), *batches)
    spool = make_spool(1)
    spool.append(make_batch(1))
    assert spool.adopt().figures.frames == 2
    spool.append(make_batch(2))
    assert spool.adopt().figures.frames == 2
    assert spool.adopt() == Adopted()
    assert list(drain(spool)) == [make_batch(1), *old[2], make_batch(2), *old[3]]


def test_a_damaged_header_costs_no_batch(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """A segment whose header is damaged is known by its frames: those for this target are adopted, others are not."""
    for writer, target in ((2, "here"), (3, "elsewhere")):
        leave(make_spool(writer, target=target), make_batch(1, writer=writer))
        path = tmp_path / "spool" / f"{writer:032x}" / "00000001.seg"
        path.write_bytes(path.read_bytes().replace(b'"target":"', b'"target":"?', 1))
    spool = make_spool(1)
    assert spool.adopt().figures.frames == 1
    assert list(drain(spool)) == [make_batch(1, writer=2)]
    assert spool.adopt() == Adopted()
    assert len(troubles) == 1


@pytest.mark.parametrize("cut", [1, 40, 10_000], ids=lambda cut: f"{cut} bytes short")
def test_a_torn_end_is_set_aside(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble], cut: int
) -> None:
    """A segment that ends in the middle of a frame, of the first one or of the header gives all that is whole."""
    written = [make_batch(1, writer=2), make_batch(2, writer=2, width=4000)]
    leave(make_spool(2), *written)
    path = tmp_path / "spool" / f"{2:032x}" / "00000001.seg"
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    spool = make_spool(1)
    assert spool.adopt().figures.bytes == len(torn)
    delivered = list(drain(spool))
    assert delivered == written[: len(delivered)]
    pieces = list((tmp_path / "spool" / "damaged").iterdir())
    assert [torn.endswith(piece.read_bytes()) for piece in pieces] == [True]
    assert len(troubles) == 1
    assert not path.parent.exists()


def test_a_segment_that_cannot_be_read_does_not_hide_the_next(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """Where one of a dead writer's segments is unreadable, it is reported and the others are adopted."""
    leave(make_spool(2, segment_bytes=1), make_batch(1, writer=2), make_batch(2, writer=2))
    path = tmp_path / "spool" / f"{2:032x}" / "00000001.seg"
    path.unlink()
    path.mkdir()
    spool = make_spool(1)
    assert spool.adopt().figures.frames == 1
    assert list(drain(spool)) == [make_batch(2, writer=2)]
    assert [trouble.path for trouble in troubles] == [path]


@pytest.mark.parametrize(
    ("status", "death"),
    [
        (b'{"closed":false,"state":"ok"}', {"closed": False, "state": "ok"}),
        (b'{"closed":"tr', None),
        (b"[1]", None),
        (None, None),
    ],
    ids=["left off", "torn", "of another shape", "never written"],
)
def test_a_death_is_told_with_the_last_words(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, status: bytes | None, death: object
) -> None:
    """Of a writer that did not end in order is told what it last said and what it left."""
    dead = home.with_name(f"{2:032x}")
    leave(make_spool(2), make_batch(1, writer=2))
    if status is not None:
        (dead / "status.json").write_bytes(status)
    adopted = make_spool(1).adopt()
    assert [(each.writer_id, each.status) for each in adopted.deaths] == [(dead.name, death)]
    assert adopted.deaths[0].left == adopted.figures
    assert not dead.exists()


def test_who_closed_in_order_is_not_dead(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """A writer whose status says that it closed, and left batches all the same, makes no death."""
    spool = make_spool(2)
    spool.append(make_batch(1, writer=2))
    spool.write_status(b'{"closed":true}')
    spool.close()
    adopted = make_spool(1).adopt()
    assert adopted.figures.frames == 1
    assert adopted.deaths == ()


def test_the_death_of_a_stranger_is_not_ours_to_tell(make_spool: MakeSpool, home: Path) -> None:
    """A writer of other tables that died without leaving a batch is left to those who log into the same tables."""
    stranger = home.with_name(f"{2:032x}")
    stranger.mkdir(parents=True)
    (stranger / "status.json").write_bytes(b'{"closed":false,"target":"elsewhere"}')
    assert make_spool(1).adopt() == Adopted()
    assert [path.name for path in stranger.iterdir() if path.name != "lock"] == ["status.json"]
    assert [death.writer_id for death in make_spool(3, target="elsewhere").adopt().deaths] == [stranger.name]
    assert not stranger.exists()


def test_empty_directories_of_the_dead_are_removed(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """Writers that died without leaving a batch are told by their status, and the next one is adopted as well."""
    for writer in (2, 3, 5):
        (home.with_name(f"{writer:032x}")).mkdir(parents=True)
    for writer in (2, 3):
        (home.with_name(f"{writer:032x}") / "status.json").write_bytes(b'{"closed":false}')
    leave(make_spool(6), make_batch(1, writer=6))
    spool = make_spool(1)
    adopted = spool.adopt()
    assert [int(death.writer_id, 16) for death in adopted.deaths] == [2, 3, 6]
    assert [death.left.frames for death in adopted.deaths] == [0, 0, 1]
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_a_journal_becomes_a_segment(make_spool: MakeSpool, make_batch: MakeBatch, home: Path, header: Header) -> None:
    """What a killed process had written to its journal is adopted: its closed frames and the open one."""
    dead = home.with_name(f"{2:032x}")
    dead.mkdir(parents=True)
    sealed, loose = make_batch(1, writer=2), make_batch(2, writer=2)
    (dead / "00000001.journal").write_bytes(header.line + frames.encode(sealed, header) + loose.payload + b"cut sho")
    (dead / "00000002.journal").write_bytes(header.line)
    spool = make_spool(1)
    figures = spool.adopt().figures
    assert (figures.frames, figures.levels) == (2, Counter(sealed.levels) + Counter(loose.levels))
    assert [(batch.key.seq, batch.payload) for batch in drain(spool)] == [(1, sealed.payload), (2, loose.payload)]
    assert not dead.exists()


def test_a_journal_for_another_target_is_left_alone(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, troubles: list[Trouble]
) -> None:
    """The open end of a journal for another database is not closed by a stranger."""
    dead = home.with_name(f"{2:032x}")
    dead.mkdir(parents=True)
    other = frames.make_header("elsewhere", COLUMN_NAMES)
    (dead / "00000001.journal").write_bytes(other.line + make_batch(1, writer=2).payload)
    before = contents(dead)
    assert make_spool(1).adopt() == Adopted()
    assert contents(dead) == before | {"lock": b""}
    assert troubles == []

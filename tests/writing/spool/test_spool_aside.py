"""Rows that are set aside: there before COMMIT, in `rejected/` after it, and back in a spool on demand."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spools import MakeBatch, MakeSpool, contents, derived, drain, failing, files, frames_in, leave, name_of, refuse

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import COLUMN_NAMES
from dblog.sinks.adoption import Adopted
from dblog.sinks.segments import Trouble

TODAY = "2026-12-01"


def test_refused_rows_are_kept_under_a_key_of_their_own(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, rejected: Path
) -> None:
    """Each reason makes a batch of a derived writer, numbered from 1, born today, the last one closing."""
    batch = make_batch(7, levels={20: 3, 40: 2}, width=60)
    refused = [*refuse(batch, 4, 0, reason="too long"), *refuse(batch, 2, reason="too deep")]
    spool = make_spool(today=lambda: TODAY)
    spool.set_aside(batch, refused)
    assert files(home) == ["lock", f"refused-{name_of(batch)}"]
    spool.confirm(batch.key)
    assert files(home) == ["lock"]
    first, second = frames_in(rejected / name_of(batch))
    writer = derived(batch)
    assert [first.key, second.key] == [BatchKey(TODAY, writer, 1), BatchKey(TODAY, writer, 2)]
    assert [first.reason, second.reason] == ["too long", "too deep"]
    assert [first.levels, second.levels] == [{40: 1, 20: 1}, {20: 1}]
    assert [(each.accepted, each.closing) for each in (first, second)] == [(2, False), (3, True)]
    assert (first.time_from, first.time_to) == ("2026-11-21 10:00:00.000001+00", "2026-11-21 10:00:01.000001+00")
    old = batch.payload.splitlines(keepends=True)
    kept = [line.split(b"\t", 2) for each in (first, second) for line in each.payload.splitlines(keepends=True)]
    assert [line[2] for line in kept] == [old[number].split(b"\t", 2)[2] for number in (4, 0, 2)]
    assert [line[:2] for line in kept] == [[writer.encode(), seq] for seq in (b"1", b"1", b"2")]


def test_what_is_kept_is_known_to_whoever_takes_the_directory(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """Refused rows whose batch may not be committed are found again in a directory that was let go of."""
    batch, spool = make_batch(1), make_spool()
    spool.set_aside(batch, refuse(batch, 0))
    spool.abandon()
    again = make_spool()
    assert not again.holds_aside(batch.key)
    again.open()
    assert again.holds_aside(batch.key)
    assert not again.holds_aside(make_batch(2).key)
    again.discard(batch.key)
    assert not again.holds_aside(batch.key)


def test_setting_aside_again_replaces(make_spool: MakeSpool, make_batch: MakeBatch, home: Path, rejected: Path) -> None:
    """Of several tries for one batch the last one's refused rows are kept; none at all, or `discard`, keep nothing."""
    batch, spool = make_batch(1), make_spool()
    spool.set_aside(batch, refuse(batch, 0, 1))
    spool.set_aside(batch, refuse(batch, 2))
    spool.confirm(batch.key)
    assert [each.levels for each in frames_in(rejected / name_of(batch))] == [{40: 1}]
    other = make_batch(2)
    for _ in range(2):
        spool.set_aside(other, refuse(other, 0))
        spool.discard(other.key)
        spool.set_aside(other, refuse(other, 0))
        spool.set_aside(other, [])
        spool.confirm(other.key)
    assert files(home) == ["lock"]
    assert files(rejected) == [name_of(batch)]


def test_rows_of_other_columns_are_set_aside_under_theirs(
    make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path
) -> None:
    """Rows that an earlier release wrote keep their own columns when they are set aside, and when they come back."""
    columns = (*COLUMN_NAMES[:4], "message")
    batch, spool = replace(make_batch(1), columns=columns), make_spool()
    spool.set_aside(batch, refuse(batch, 0))
    spool.confirm(batch.key)
    assert [each.columns for each in frames_in(rejected / name_of(batch))] == [columns]
    spool.take_back(rejected / name_of(batch))
    assert [each.columns for each in drain(spool)] == [columns]


def test_a_failure_keeps_what_was_there(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """Where refused rows cannot be written, OSError says so, and those of the try before are still there."""
    batch, spool = make_batch(1), make_spool()
    spool.set_aside(batch, refuse(batch, 0))
    before = contents(home)
    for call in ("write", "fsync", "rename"):
        with failing(28, call), pytest.raises(OSError, match="No space left"):  # simulated
            spool.set_aside(batch, refuse(batch, 1))
        assert {name: data for name, data in contents(home).items() if not name.endswith(".tmp")} == before


def test_an_expired_batch_is_kept_for_a_human(make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path) -> None:
    """The oldest batch can be moved to `rejected/` as a whole, with its reason; one without rows just goes."""
    spool = make_spool(today=lambda: TODAY)
    first, empty, last = make_batch(1), make_batch(2, levels={}), make_batch(3)
    for batch in (first, empty, last):
        spool.append(batch)
    assert spool.oldest() == first
    with pytest.raises(ValueError, match="not the oldest"):
        spool.expire(last, "too old")
    assert files(rejected) == []
    for batch in (first, empty):
        assert spool.oldest() == batch
        spool.expire(batch, "too old")
    assert list(drain(spool)) == [last]
    (kept,) = frames_in(rejected / name_of(first))
    assert files(rejected) == [name_of(first)]
    assert (kept.key, kept.reason, kept.closing) == (BatchKey(TODAY, derived(first), 1), "too old", True)
    assert (kept.levels, kept.time_from, kept.accepted) == (first.levels, first.time_from, first.rows)
    assert kept.payload == first.payload.replace(b"0" * 31 + b"1\t1\t", f"{derived(first)}\t1\t".encode())


def test_an_expired_batch_is_not_read_again(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, rejected: Path, troubles: list[Trouble]
) -> None:
    """A batch that was expired stays away from its segment, even if its process ends before the others left."""
    spool = make_spool(2)
    for seq in (1, 2, 3):
        spool.append(make_batch(seq, writer=2))
    batch = spool.oldest()
    assert batch is not None
    spool.expire(batch, "too old")
    spool.abandon()
    heir = make_spool(1)
    assert heir.adopt().figures.frames == 2
    assert [each.key.seq for each in drain(heir)] == [2, 3]
    assert (files(rejected), troubles) == ([name_of(batch)], [])
    assert not home.with_name(f"{2:032x}").exists()


def test_what_cannot_be_expired_stays(make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path) -> None:
    """Where `rejected/` cannot be made, the batch stays the oldest one and can be expired later."""
    spool = make_spool()
    spool.append(make_batch(1))
    rejected.write_text("in the way")
    batch = spool.oldest()
    assert batch is not None
    with pytest.raises(OSError, match="exists"):
        spool.expire(batch, "too old")
    assert spool.oldest() == batch
    rejected.unlink()
    spool.expire(batch, "too old")
    assert spool.oldest() is None
    assert len(frames_in(rejected / name_of(batch))) == 1


def test_refused_rows_of_the_dead_wait_with_their_batch(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, rejected: Path
) -> None:
    """Rows that a dead writer had set aside are final, unless their batch waits: then they wait for its end."""
    dead = make_spool(2)
    waiting, gone = make_batch(1, writer=2), make_batch(2, writer=2)
    dead.append(waiting)
    for batch in (waiting, gone):
        dead.set_aside(batch, refuse(batch, 0))
    dead.close()
    spool = make_spool(1)
    assert spool.adopt().figures.frames == 1
    assert files(rejected) == [name_of(gone)]
    assert files(home) == ["00000001.seg", "lock", f"refused-{name_of(waiting)}"]
    spool.confirm(waiting.key)
    assert files(rejected) == [name_of(waiting), name_of(gone)]


def test_closing_leaves_no_refused_rows_behind(make_spool: MakeSpool, make_batch: MakeBatch, rejected: Path) -> None:
    """Rows whose batch is nowhere any more go to `rejected/` when the writer closes, and its directory goes."""
    spool, batch = make_spool(), make_batch(1)
    spool.set_aside(batch, refuse(batch, 0))
    spool.close()
    assert files(rejected.parent) == ["rejected"]
    assert files(rejected) == [name_of(batch)]
    assert make_spool(2).adopt() == Adopted()


def test_an_unfinished_file_goes_with_its_directory(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """A file that was being written when its process died is nobody's, and does not keep the directory."""
    batch = make_batch(1, writer=2)
    leave(make_spool(2), batch)
    dead = home.with_name(f"{2:032x}")
    (dead / f"refused-{name_of(batch)}.tmp").write_bytes(b"half of it")
    (dead / "status.json.tmp").write_bytes(b"{")
    assert make_spool(1).adopt().figures.frames == 1
    assert not dead.exists()


rows = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["a", "b", "c"]), st.text()), min_size=1, max_size=20)


@given(rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_no_row_is_lost_or_doubled(
    make_spool: MakeSpool, rejected: Path, given_rows: list[tuple[int, str, str]]
) -> None:
    """Whatever rows are refused for whatever reasons, each is kept once, with its level, text and reason."""

    def line(level: int, text: str) -> bytes:
        escaped = text.encode("utf-8", "backslashreplace").replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        return b"%032x\t1\t2026-11-21 10:00:00.000001+00\t%d\t%s\n" % (1, level, escaped)

    lines = [(line(level, text), reason) for level, reason, text in given_rows]
    levels = Counter(level for level, _, _ in given_rows)
    key = BatchKey("2026-11-21", f"{1:032x}", 1)
    batch = Batch(key, b"".join(row for row, _ in lines), levels, None, None, len(lines))
    spool = make_spool()
    spool.set_aside(batch, [Rejected(row, reason) for row, reason in lines])
    spool.confirm(key)
    spool.close()
    kept = frames_in(rejected / name_of(batch))
    assert sum((Counter(each.levels) for each in kept), Counter[int]()) == levels
    assert tails((each.payload, str(each.reason)) for each in kept) == tails(lines)


def tails(payloads: Iterable[tuple[bytes, str]]) -> Counter[tuple[bytes, str]]:
    """Rows without their first two fields, with their reasons."""
    return Counter(
        (row.split(b"\t", 2)[2], reason) for payload, reason in payloads for row in payload.split(b"\n")[:-1]
    )

"""Frames: what was encoded comes back, whatever stands around it."""

import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dblog.batch import Batch, BatchKey
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.frames import Damage, Header

HEADER = frames.make_header("host/db/schema/prefix", COLUMN_NAMES)
FIELDS = ["writer_id", "seq", "length", "levels", "highest", "time_from", "time_to", "accepted", "closing", "reason"]

texts = st.none() | st.text()
numbers = st.integers(-(2**63), 2**63 - 1)
batches = st.builds(
    Batch,
    key=st.builds(BatchKey, st.text(), st.text(), numbers),
    payload=st.binary().map(lambda data: data.replace(b"\x1e", b"\\x1e")),
    levels=st.dictionaries(numbers, numbers),
    time_from=texts,
    time_to=texts,
    accepted=numbers,
    closing=st.booleans(),
    reason=texts,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def read(data: bytes) -> list[Batch | Damage]:
    """Read `data` as the whole of a segment."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        return list(frames.read(file.fileno(), HEADER, len(data)))


def only_batches(found: Sequence[Batch | Damage]) -> list[Batch]:
    """Leave the damage out."""
    return [item for item in found if isinstance(item, Batch)]


@pytest.fixture(scope="module")
def twenty(make_batch: Callable[..., Batch]) -> list[Batch]:
    """Twenty batches, one of them without rows."""
    return [make_batch(seq, levels={} if seq == 13 else {20: 1 + seq % 2}, width=0) for seq in range(1, 21)]


@pytest.fixture
def segment(twenty: list[Batch]) -> Iterator[tuple[int, list[int]]]:
    """A file with the twenty frames, and where each part begins: the header, every frame, the end."""
    parts = [HEADER.line, *(frames.encode(batch, HEADER) for batch in twenty)]
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(b"".join(parts))
        yield file.fileno(), [0, *accumulate(len(part) for part in parts)]


@given(st.lists(batches, max_size=5))
def test_batches_come_back_as_they_were(written: list[Batch]) -> None:
    """Every field of every batch, whatever it holds, is read as it was written, in the same order."""
    assert read(HEADER.line + b"".join(frames.encode(batch, HEADER) for batch in written)) == written


def test_a_frame_is_the_rows_and_one_footer_line(make_batch: Callable[..., Batch]) -> None:
    """A frame begins with the rows as they are, and its one other line says what PostgreSQL needs not be asked for."""
    batch = make_batch(7, levels={20: 2, 40: 1})
    frame = frames.encode(batch, HEADER)
    assert frame.startswith(batch.payload + b"\x1e")
    footer = frame[len(batch.payload) :]
    assert footer.count(b"\n") == 1
    assert footer.endswith(b"\n")
    fields = json.loads(footer[1:])
    assert fields | {"crc": "checked elsewhere"} == {
        "birth_day": "2026-11-21",
        "writer_id": f"{1:032x}",
        "seq": 7,
        "length": len(batch.payload),
        "levels": {"20": 2, "40": 1},
        "highest": 40,
        "time_from": batch.time_from,
        "time_to": batch.time_to,
        "accepted": 21,
        "closing": False,
        "crc": "checked elsewhere",
    }


def test_one_flipped_byte_costs_one_frame(segment: tuple[int, list[int]], twenty: list[Batch]) -> None:
    """Whichever byte of a segment is altered, just the frame around it is reported as damage, all others come."""
    fd, bounds = segment
    for part, (begin, end) in enumerate(pairwise(bounds)):
        undamaged = [batch for number, batch in enumerate(twenty, 1) if number != part]
        for offset in range(begin, end):
            original = os.pread(fd, 1, offset)
            os.pwrite(fd, bytes([original[0] ^ (1 + offset % 255)]), offset)
            found = list(frames.read(fd, HEADER, bounds[-1]))
            os.pwrite(fd, original, offset)
            assert only_batches(found) == undamaged
            damage = [(item.offset, item.length) for item in found if isinstance(item, Damage)]
            assert damage == [(begin, end - begin)]


def test_a_cut_costs_the_frame_that_is_cut(segment: tuple[int, list[int]], twenty: list[Batch]) -> None:
    """Wherever a segment ends, all frames that end before are read, and the rest is reported as damage."""
    fd, bounds = segment
    for length in reversed(range(bounds[-1])):
        os.truncate(fd, length)
        found = list(frames.read(fd, HEADER, length))
        whole = sum(1 for bound in bounds[2:] if bound <= length)
        assert only_batches(found) == twenty[:whole]
        begin = max(bound for bound in bounds if bound <= length)
        damage = [(item.offset, item.length) for item in found if isinstance(item, Damage)]
        assert damage == ([(begin, length - begin)] if length > begin else [])


@given(data=st.data(), garbage=st.binary(max_size=300) | st.just(b"\x1e{") | st.just(HEADER.line))
@settings(max_examples=200)
def test_garbage_costs_only_what_it_replaces(twenty: list[Batch], data: st.DataObject, garbage: bytes) -> None:
    """Any stretch of a segment may be replaced by any bytes: every frame outside of it is still read."""
    parts = [HEADER.line, *(frames.encode(batch, HEADER) for batch in twenty)]
    bounds = [0, *accumulate(len(part) for part in parts)]
    whole = b"".join(parts)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    outside = [batch for batch, (a, b) in zip(twenty, pairwise(bounds[1:]), strict=True) if b <= begin or a >= end]
    found = only_batches(read(whole[:begin] + garbage + whole[end:]))
    assert [batch for batch in found if batch in outside] == outside
    assert all(batch in twenty for batch in found)


@given(st.binary(max_size=2000), st.booleans())
def test_no_input_makes_the_reader_raise(data: bytes, headed: bool) -> None:
    """Bytes that nobody wrote are reported as one piece of damage."""
    start = len(HEADER.line) if headed else 0
    found = read(HEADER.line[:start] + data)
    assert [(item.offset, item.length) for item in found if isinstance(item, Damage)] == (
        [(start, len(data))] if data else []
    )


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values)), st.binary(max_size=50))
def test_a_footer_of_other_shape_is_damage(fields: dict[str, object], payload: bytes) -> None:
    """A footer with a right checksum but with fields missing or of any other type does not make the reader raise."""
    body = json.dumps({"birth_day": "2026-11-21"} | fields, separators=(",", ":")).encode()
    crc = crc32(body, crc32(payload, crc32(HEADER.line)))
    found = read(HEADER.line + payload + b"\x1e" + body[:-1] + b',"crc":"%08x"}\n' % crc)
    assert len(found) == 1
    assert isinstance(found[0], Damage)


@pytest.mark.parametrize(
    "value", [b"[" * 200_000, b"9" * 10_000, b"1e999", b"-1", b'"\\ud800"', b"2e0", b"true", b"\xff"], ids=repr
)
def test_a_footer_meant_to_hurt_is_damage(value: bytes) -> None:
    """Nesting without end, numbers without end and the like are damage, and the next frame is read."""
    after = Batch(BatchKey("2026-11-21", "f" * 32, 1), b"row\n", {20: 1}, None, None, 1)
    evil = b'row\n\x1e{"birth_day":%s,"length":%s,"crc":"00000000"}\n' % (value[-20:], value)
    found = read(HEADER.line + evil + frames.encode(after, HEADER))
    assert [type(item) for item in found] == [Damage, Batch]
    assert found[1] == after


def test_a_cancelled_frame_is_left_out(segment: tuple[int, list[int]], twenty: list[Batch]) -> None:
    """Each frame can be cancelled, twice, too: it is not read again, it is no damage, and all others come."""
    fd, bounds = segment
    for mark, batch in list(frames.locate(fd, HEADER, bounds[-1])):
        assert isinstance(batch, Batch)
        for _ in range(2):
            frames.cancel(fd, batch, HEADER, mark)
        assert list(frames.read(fd, HEADER, bounds[-1])) == twenty[twenty.index(batch) + 1 :]


def test_frames_of_another_target_are_not_read(make_batch: Callable[..., Batch]) -> None:
    """A frame is bound to its header: under that of another database it is damage, even if its bytes are all right."""
    elsewhere = frames.make_header("another/db/schema/prefix", COLUMN_NAMES)
    assert only_batches(read(HEADER.line + frames.encode(make_batch(1), elsewhere))) == []


def header_of(data: bytes) -> Header | None:
    """The header of `data` as the whole of a segment."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        return frames.read_header(file.fileno())


@given(st.text(), st.lists(st.text()), st.binary(max_size=100))
def test_a_header_says_what_it_was_made_of(target: str, columns: list[str], rest: bytes) -> None:
    """Format, target and columns are read as they were written, whatever follows."""
    made = frames.make_header(target, columns)
    assert header_of(made.line + rest) == made
    assert (made.format, made.target, made.columns) == (frames.FORMAT, target, tuple(columns))


def test_an_altered_header_is_none() -> None:
    """A header that is altered in one byte, or cut short, is not taken for one."""
    line = HEADER.line
    for offset in range(len(line)):
        altered = line[:offset] + bytes([line[offset] ^ 1]) + line[offset + 1 :]
        assert header_of(altered) is None
        assert header_of(line[:offset]) is None


@given(json_values, st.sampled_from(["format", "target", "columns", "more"]))
def test_a_header_of_other_shape_does_not_raise(value: object, field: str) -> None:
    """A header with a right checksum but with fields of any other type does not make the reader raise."""
    body = json.dumps({"format": 1, "target": "x", "columns": [], field: value}, separators=(",", ":")).encode()
    found = header_of(body[:-1] + b',"crc":"%08x"}\n' % crc32(body))
    assert found is None or isinstance(found, Header)


def test_rows_of_other_columns_do_not_go_under_a_header(make_batch: Callable[..., Batch]) -> None:
    """A batch whose rows have other columns than the header says is refused before anything is written."""
    with pytest.raises(ValueError, match="other columns than its segment"):
        frames.encode(replace(make_batch(1), columns=("message",)), HEADER)


def test_only_rows_set_aside_have_a_reason(make_batch: Callable[..., Batch]) -> None:
    """The reason is part of the footer of rows that were set aside, and of no other."""
    plain = frames.encode(make_batch(1), HEADER)
    aside = frames.encode(replace(make_batch(1), reason='it has a "\n'), HEADER)
    assert b"reason" not in plain
    assert b'"reason":"it has a \\"\\n"' in aside


def test_any_number_of_levels_fits(make_batch: Callable[..., Batch]) -> None:
    """A batch in which each of 10,000 rows has a level of its own comes back."""
    batch = make_batch(1, levels=dict.fromkeys(range(10_000), 1))
    assert read(HEADER.line + frames.encode(batch, HEADER)) == [batch]


@pytest.mark.parametrize("before", range(-1, 20))
def test_a_footer_may_stand_anywhere(make_batch: Callable[..., Batch], before: int) -> None:
    """A footer is found even where it is cut in two by the border of what is read at once."""
    batch = make_batch(1, levels={20: 1}, width=256 * 1024 - before - 1)
    assert read(HEADER.line + frames.encode(batch, HEADER)) == [batch]


def test_reading_holds_one_frame(make_batch: Callable[..., Batch]) -> None:
    """Reading 20 MiB of frames and 60 MiB of zeros takes the memory of about one frame of 1 MiB."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(HEADER.line)
        for seq in range(20):
            file.write(frames.encode(make_batch(seq, levels={20: 1}, width=2**20), HEADER))
        size = file.seek(60 * 2**20, os.SEEK_CUR)
        file.truncate(size)
        tracemalloc.start()
        try:
            kinds = [type(item) for item in frames.read(file.fileno(), HEADER, size)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert kinds == [Batch] * 20 + [Damage]
    assert peak < 4 * 2**20

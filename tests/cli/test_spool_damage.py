"""`dblog spool` on files that are damaged, or that another release wrote."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from spooled import NOWHERE, SpoolCommand, batch_of, open_spool, write_segment

from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames

WRITER = "0123456789abcdef" * 2


@pytest.mark.parametrize("alive", [True, False])
def test_a_torn_end_is_damage_once_its_writer_is_dead(alive: bool, directory: Path, spool: SpoolCommand) -> None:
    """What a living writer is writing at this moment is not damage; what a dead one left half is."""
    writer = open_spool(directory, NOWHERE, WRITER)
    writer.append(batch_of(WRITER, 1, "whole"))
    path = directory / WRITER / "00000001.seg"
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"half a row")
    if not alive:
        writer.abandon()
    code, out, _ = spool("verify", "-o", "json")
    found = json.loads(out)
    assert (code, found["frames"]) == (0 if alive else 1, 1)
    assert [(each["path"], each["offset"], each["length"]) for each in found["damages"]] == (
        [] if alive else [(str(path), size, len(b"half a row"))]
    )
    writer.abandon()


def test_damage_is_listed_with_its_place(directory: Path, spool: SpoolCommand) -> None:
    """One altered byte is found; the frames around it are printed, and `cat` says what is missing."""
    data = write_segment(directory / WRITER / "00000001.seg", *(batch_of(WRITER, seq, f"m{seq}") for seq in (1, 2, 3)))
    path = directory / WRITER / "00000001.seg"
    place = data.index(b"m2")
    path.write_bytes(data[:place] + b"X" + data[place + 1 :])
    code, out, err = spool("verify")
    assert (code, err) == (1, "")
    assert out.startswith(f"{path}: ")
    assert "1 damaged place" in out
    code, out, err = spool("cat", "--jsonl")
    assert code == 1
    assert [json.loads(line)["message"] for line in out.splitlines()] == ["m1", "m3"]
    assert f"dblog: note: {path}: " in err


@pytest.mark.parametrize("garbage", [b"garbage", b"\0" * 5000, b"\x1e" * 100, b'{"format":1}\n', b"\n"])
def test_garbage_is_damage_as_a_whole(garbage: bytes, directory: Path, spool: SpoolCommand) -> None:
    """A file of garbage is listed and found, and ends no command."""
    home = directory / WRITER
    home.mkdir()
    (home / "00000001.seg").write_bytes(garbage)
    (home / "00000002.seg").mkdir()
    code, out, _ = spool("verify", "-o", "json")
    found = json.loads(out)
    assert code == 1
    assert [(each["offset"], each["length"]) for each in found["damages"]] == [(0, len(garbage))]
    assert found["problems"] == [f"{home / '00000002.seg'}: cannot be read: Is a directory"]
    assert spool("ls")[0] == 1
    assert spool("cat")[:2] == (1, "")


def test_a_damaged_header_costs_no_frame(directory: Path, spool: SpoolCommand) -> None:
    """Frames behind a damaged header are found with the header of the file beside it."""
    data = write_segment(directory / WRITER / "00000001.seg", batch_of(WRITER, 1, "one"))
    (directory / WRITER / "00000001.seg").write_bytes(b"X" + data[1:])
    write_segment(directory / WRITER / "00000002.seg", batch_of(WRITER, 2, "two"))
    code, out, _ = spool("cat", "--jsonl")
    assert code == 1
    assert [json.loads(line)["message"] for line in out.splitlines()] == ["one", "two"]


def test_other_releases_and_targets_are_named(directory: Path, spool: SpoolCommand) -> None:
    """Fewer or unknown columns are printed by their names; `--copy` mixes no columns; a foreign format is said."""
    fewer = tuple(name for name in COLUMN_NAMES if name != "service")
    rows = b"\t".join([WRITER.encode(), b"1", b"2026-11-21 10:00:00.000001+00", b"20", *[b"x"] * 19, b"new"]) + b"\n"
    names = (*COLUMN_NAMES[:4], *(f"column_{number}" for number in range(19)), "message")
    batch = replace(batch_of(WRITER, 1, "m"), payload=rows)
    write_segment(directory / WRITER / "00000001.seg", batch, target="elsewhere", columns=names)
    write_segment(directory / ("b" * 32) / "00000001.seg", batch_of("b" * 32, 1, "today"))
    odd = directory / ("c" * 32) / "00000001.seg"
    write_segment(odd)
    odd.write_bytes(frames._sealed({"format": 9, "target": "here", "columns": fewer}, 0))
    code, out, _ = spool("ls", "-o", "json")
    by_writer = {each["writer_id"]: each for each in json.loads(out)}
    assert code == 1
    assert by_writer[WRITER]["columns"] == list(names)
    assert by_writer[WRITER]["target"] == "elsewhere"
    assert by_writer["c" * 32]["problem"] == f"it has format 9, this release reads {frames.FORMAT}"
    _, out, _ = spool("cat", "--jsonl", WRITER)
    assert json.loads(out)["column_0"] == "x"
    assert spool("cat", WRITER)[1].endswith(": new\n")
    code, _, err = spool("cat", "--copy", WRITER, "b" * 32)
    assert code == 2
    assert "the files have different columns" in err

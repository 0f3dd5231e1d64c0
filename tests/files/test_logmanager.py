"""Writers for streams: got or created by id, measured, and closed together."""

import gzip
import os
import threading
from pathlib import Path

import pytest
from disks import small_disk

from dblog import LogManager
from dblog.errors import UsageError


def everything(folder: Path, stream: str) -> list[str]:
    """The lines of a stream, with its rotated files."""
    lines = []
    for path in folder.glob(f"{stream}.log*"):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines += data.decode().splitlines()
    return lines


def test_lines_of_a_stream_are_in_its_file(tmp_path: Path) -> None:
    """Text and bytes become lines of one file, in their order, each ended once; the folder is made."""
    manager = LogManager(tmp_path / "deep" / "logs")
    writer = manager.get_writer("orders")
    for line in ("one", "two\n", b"three", b"four\n", "fünf 漢", b"\x00\xff"):
        writer.write_line(line)
    assert manager.close_all()
    assert writer.path == tmp_path / "deep" / "logs" / "orders.log"
    assert writer.path.read_bytes() == "one\ntwo\nthree\nfour\nfünf 漢\n".encode() + b"\x00\xff\n"


def test_lines_wait_in_the_buffer_unless_they_are_urgent(tmp_path: Path) -> None:
    """An urgent line takes along what waits before it; `flush` does the same without one."""
    manager = LogManager(tmp_path, flush_interval=3600)
    try:
        writer = manager.get_writer("a")
        writer.write_line("waits")
        assert writer.path.read_bytes() == b""
        writer.write_line("urgent", urgent=True)
        assert writer.path.read_text() == "waits\nurgent\n"
        writer.write_line("last")
        assert writer.flush()
        assert writer.path.read_text() == "waits\nurgent\nlast\n"
    finally:
        manager.close_all()


def test_a_manager_ends_with_its_with_statement(tmp_path: Path) -> None:
    """The end of a `with` statement writes what waits and closes all writers."""
    with LogManager(tmp_path, flush_interval=3600) as manager:
        writer = manager.get_writer("a")
        writer.write_line("waits")
    assert writer.closed
    assert writer.path.read_text() == "waits\n"


def test_a_line_is_text_or_bytes(tmp_path: Path) -> None:
    """Anything else is refused in words, and nothing of it is written."""
    with LogManager(tmp_path) as manager:
        writer = manager.get_writer("a")
        for line in (None, 7, ["x"]):
            with pytest.raises(TypeError, match=r"a line must be str or bytes, not (NoneType|int|list)"):
                writer.write_line(line)  # type: ignore[arg-type]
    assert writer.path.read_bytes() == b""


def test_one_id_is_one_writer(tmp_path: Path) -> None:
    """The same id gives the same writer to all threads; after its shutdown the next one goes on in the same file."""
    manager = LogManager(tmp_path)
    start = threading.Barrier(8)
    found = []

    def get() -> None:
        start.wait()
        found.append(manager.get_writer("shared"))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    found[0].write_line("first")
    assert found[0].shutdown()
    assert found[0].closed
    second = manager.get_writer("shared")
    assert second is not found[0]
    second.write_line("second")
    assert manager.close_all()
    assert everything(tmp_path, "shared") == ["first", "second"]


def test_many_threads_and_rotations_lose_nothing(tmp_path: Path) -> None:
    """Five threads write through rotations of packed files: each line is there once."""
    manager = LogManager(tmp_path, max_bytes=2000, max_files=1000, buffer_size=500)

    def write(number: int) -> None:
        for line in range(200):
            manager.get_writer("busy").write_line(f"{number}-{line}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = manager.get_metrics()["busy"]
    assert manager.close_all()
    assert sorted(everything(tmp_path, "busy")) == sorted(
        f"{number}-{line}" for number in range(5) for line in range(200)
    )
    assert metrics.dropped_messages == 0


def test_figures_are_there_for_each_stream(tmp_path: Path) -> None:
    """`get_metrics` of the manager has the figures of each writer by its id."""
    manager = LogManager(tmp_path)
    try:
        for stream, count in (("a", 3), ("b", 0)):
            writer = manager.get_writer(stream)
            for _ in range(count):
                writer.write_line("12345")
            writer.flush()
        figures = manager.get_metrics()
        assert {stream: (each.lines_written, each.bytes_written) for stream, each in figures.items()} == {
            "a": (3, 18),
            "b": (0, 0),
        }
        assert manager.get_writer("a").get_metrics().lines_written == 3
    finally:
        manager.close_all()
    assert manager.get_metrics() == {}


@pytest.mark.parametrize(
    "stream", ["", ".", "..", "../x", "a/b", "/etc/x", ".hidden", "-x", "a\0b", "a\n", "ä", "x" * 201, None, 7]
)
def test_an_id_never_leads_out_of_the_folder(stream: str, tmp_path: Path) -> None:
    """What could name another folder, or no file at all, is refused with what is accepted."""
    with pytest.raises(UsageError, match=r"is no id of a stream; accepted: 1 to 200 of A-Z, a-z, 0-9"):
        LogManager(tmp_path / "logs").get_writer(stream)
    assert not list(tmp_path.iterdir())


def test_an_id_is_not_like_a_rotated_file(tmp_path: Path) -> None:
    """A stream whose file another one would take for a rotated file of its own is refused."""
    with pytest.raises(UsageError, match="it ends like the name of a rotated file"):
        LogManager(tmp_path).get_writer("app.20261121_053355")


def test_what_may_not_be_written_fails_at_once(tmp_path: Path) -> None:
    """A folder in the place of the file is an error of the first call, and leaves no writer behind."""
    (tmp_path / "a.log").mkdir()
    manager = LogManager(tmp_path)
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            manager.get_writer("a")
    assert manager.get_metrics() == {}


def test_a_child_goes_on_with_its_own_writers(tmp_path: Path) -> None:
    """After a fork parent and child write the same stream, and what waited in the parent is written once."""
    manager = LogManager(tmp_path, flush_interval=3600)
    manager.get_writer("a").write_line("parent waits")
    child = os.fork()
    if child == 0:
        manager.get_writer("a").write_line("child")
        os._exit(0 if manager.close_all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert manager.close_all()
    assert sorted(everything(tmp_path, "a")) == ["child", "parent waits"]


def test_a_full_disk_raises_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On a full disk lines go to stderr, and every one of them is in the file or there."""
    with small_disk(tmp_path / "mount", 1) as folder:
        manager = LogManager(folder, emergency_cleanup_threshold_mb=0, recovery_min_free_mb=0, buffer_size=0)
        writer = manager.get_writer("a")
        for number in range(2000):
            writer.write_line(f"{number:04d}" + "x" * 1000)
        manager.close_all()
        stored = [line[:4] for line in everything(folder, "a")]
    printed = [line[:4] for line in capfd.readouterr().err.splitlines() if line[4:5] == "x"]
    assert sorted(stored + printed) == [f"{number:04d}" for number in range(2000)]

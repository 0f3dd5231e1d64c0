"""Records that are made compiled are those of the standard library."""

import _thread
import asyncio
import logging
import threading
import time
from collections import UserDict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from encoded import NOW
from hypothesis import given
from hypothesis import strategies as st

from dblog import DatabaseLogHandler

SWITCHES = ("logThreads", "logMultiprocessing", "logProcesses", "logAsyncioTasks")
PLACES = ["/srv/app/views.py", "views.py", "", "/srv/app/.hidden", "archive.tar.gz", "<stdin>", None, 7, b"views.py"]
ARGS = st.sampled_from([(), (1,), (1, "a"), ({"a": 1},), ({},), (UserDict(a=1),), ([1],), ("",), None, [1]])


@pytest.fixture(scope="module")
def make_record() -> Callable[..., logging.LogRecord]:
    """The compiled function; without it these tests are skipped."""
    module: ModuleType = pytest.importorskip(
        "dblog_speedups", reason="dblog-speedups is missing: pip install ./speedups"
    )
    made: Callable[..., logging.LogRecord] = module.make_record
    return made


def both(make_record: Callable[..., logging.LogRecord], *values: Any, now: float = NOW) -> list[list[tuple[str, Any]]]:
    """The attributes of the records that both make at the same moment, in their order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        patch.setattr(time, "time_ns", lambda: int(now * 10**9))
        records = [make(*values) for make in (logging.LogRecord, make_record)]
    assert {type(record) for record in records} == {logging.LogRecord}
    return [list(vars(record).items()) for record in records]


@given(
    level=st.integers(-1, 60),
    place=st.sampled_from(PLACES),
    args=ARGS,
    now=st.floats(NOW - 10, NOW + 10**6) | st.sampled_from([NOW + 0.9999999, NOW + 0.999, 0.0]),
    stack=st.none() | st.text(),
)
def test_records_have_the_same_attributes(
    make_record: Callable[..., logging.LogRecord],
    level: int,
    place: object,
    args: object,
    now: float,
    stack: str | None,
) -> None:
    """Whatever a record is made of, its attributes are those of `logging.LogRecord`, in the same order."""
    values = ("app", level, place, 42, "%s", args, None, "index", stack)
    standard, compiled = both(make_record, *values, now=now)
    assert standard == compiled


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_switches_of_logging_hold(
    make_record: Callable[..., logging.LogRecord], switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attribute that is switched off is None, from the next record on."""
    monkeypatch.setattr(logging, switch, False, raising=False)
    standard, compiled = both(make_record, "app", 20, "app.py", 1, "", (), None)
    assert standard == compiled


def test_levels_may_have_other_names(make_record: Callable[..., logging.LogRecord]) -> None:
    """A level has the name that it was given last."""
    logging.addLevelName(27, "NOTICE")
    try:
        standard, compiled = both(make_record, "app", 27, "app.py", 1, "", (), None)
        assert standard == compiled
        assert ("levelname", "NOTICE") in compiled
    finally:
        del logging._levelToName[27], logging._nameToLevel["NOTICE"]


def test_threads_and_tasks_have_their_names(make_record: Callable[..., logging.LogRecord]) -> None:
    """A record names the thread that made it, one that `threading` does not know, too, and the asyncio task."""
    found: list[list[list[tuple[str, Any]]]] = []
    done = threading.Event()

    def look() -> None:
        found.append(both(make_record, "app", 20, "app.py", 1, "", (), None))

    def look_unknown() -> None:
        look()
        threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined] # nobody else takes it out
        done.set()

    async def look_in_task() -> None:
        look()

    thread = threading.Thread(target=look, name="of a name")
    thread.start()
    thread.join()
    _thread.start_new_thread(look_unknown, ())
    assert done.wait(30)
    asyncio.run(look_in_task())
    loop = asyncio.new_event_loop()  # one that runs without a task
    loop.call_soon(look)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert [standard for standard, _ in found] == [compiled for _, compiled in found]
    assert dict(found[0][1])["threadName"] == "of a name"


@pytest.fixture
def installed(make_record: Callable[..., logging.LogRecord]) -> Iterator[None]:
    """All loggers make their records so."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(make_record)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("installed")
def test_a_handler_takes_them_like_any_other(
    make_handler: Callable[..., DatabaseLogHandler], attach: Callable[..., logging.Logger]
) -> None:
    """A call through a logger comes to the same line as with the standard library's records."""
    handler = make_handler("host=127.0.0.1 port=1", flush_interval=600)
    logger = attach(handler)
    lines = []
    for factory in (logging.getLogRecordFactory(), logging.LogRecord):
        logging.setLogRecordFactory(factory)
        for number in range(3):
            logger.warning("order %d of %s", number, "customer 42", extra={"path": "/checkout"})
        lines.append([line.split(b"\t")[1:] for line in handler._writer._queue._lines][-3:])
    assert lines[0] == lines[1]
    assert handler.stats().emitted == {logging.WARNING: 6}

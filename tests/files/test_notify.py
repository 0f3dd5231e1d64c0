"""Callbacks and webhooks: told in order, on a thread of their own, and nobody waits for them."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from eventually import eventually

from dblog.files.fulldisk.notify import THREAD, WAITING, Notifier, StateChange
from dblog.files.handler import ResilientRotatingFileHandler
from dblog.selflog import Announcer

CHANGE = StateChange("/var/log/app.log", "degraded", 1_764_000_000.5, "No space left on device", 3, 0, 0.0)


class Hook(ThreadingHTTPServer):
    """A server that keeps what is posted to it.

    Attributes:
        posts: Paths and bodies.
        status: What it answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.posts: list[tuple[str, dict[str, object]]] = []
        self.status = 204

    @property
    def url(self) -> str:
        """Where it can be reached."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=hunter2"


class Answer(BaseHTTPRequestHandler):
    """Answers a post."""

    server: Hook

    def do_POST(self) -> None:
        """Keep the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", self.path.replace("hook", "elsewhere"))
        self.end_headers()

    def do_GET(self) -> None:
        """Keep the path: nobody should come here."""
        self.server.posts.append((self.path, {}))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Interrupt(BaseException):
    """What a signal handler may raise."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A running server."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def notifier() -> Iterator[Callable[..., Notifier]]:
    """Makes notifiers, whose threads are waited for at the end."""
    made: list[Notifier] = []

    def make(callback: Callable[[StateChange], object] | None = None, url: str | None = None) -> Notifier:
        made.append(Notifier(Announcer(), callback, url))
        return made[-1]

    yield make
    for each in made:
        each.close(30.0)


def test_a_callback(notifier: Callable[..., Notifier]) -> None:
    """Each change reaches the callback, in order, on another thread, which ends when nothing is left."""
    told: list[tuple[int, str]] = []
    it = notifier(lambda change: told.append((change.error_count, threading.current_thread().name)))
    for number in range(20):
        it.tell(replace(CHANGE, error_count=number))
    eventually(lambda: len(told) == 20, "the calls")
    assert told == [(number, THREAD) for number in range(20)]
    it.close(30.0)
    assert THREAD not in [thread.name for thread in threading.enumerate()]


def test_a_webhook(notifier: Callable[..., Notifier], hook: Hook) -> None:
    """A change is posted as JSON, with the time in UTC and the process that it comes from."""
    it = notifier(url=hook.url)
    it.tell(CHANGE)
    it.close(30.0)
    ((path, body),) = hook.posts
    assert path == "/hook?token=hunter2"
    assert set(body) - {"hostname", "process_id"} == {
        "file",
        "state",
        "time",
        "reason",
        "error_count",
        "free_bytes",
        "downtime_seconds",
    }
    assert (body["file"], body["state"], body["time"]) == (CHANGE.file, "degraded", "2025-11-24T16:00:00.500+00:00")


@pytest.mark.parametrize("status", [500, 302])
def test_a_webhook_that_refuses(
    notifier: Callable[..., Notifier], hook: Hook, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    """An answer that is no success is counted and announced without the address; a redirect is not followed."""
    hook.status = status
    it = notifier(url=hook.url)
    it.tell(CHANGE)
    it.close(30.0)
    assert [path for path, _ in hook.posts] == ["/hook?token=hunter2"]
    said = capfd.readouterr().err
    assert (it.failed, "hunter2" in said) == (1, False)
    assert f"the webhook for /var/log/app.log failed: HTTPError: HTTP {status}" in said


def test_a_webhook_that_is_not_there(notifier: Callable[..., Notifier], capfd: pytest.CaptureFixture[str]) -> None:
    """A refused connection is counted and announced, and the callback is called all the same."""
    with Hook() as server:
        url = server.url
    told: list[StateChange] = []
    it = notifier(told.append, url)
    it.tell(CHANGE)
    it.close(30.0)
    assert (told, it.failed) == ([CHANGE], 1)
    said = capfd.readouterr().err
    assert "Connection refused" in said
    assert "hunter2" not in said


def test_a_callback_that_hangs_or_raises(notifier: Callable[..., Notifier], capfd: pytest.CaptureFixture[str]) -> None:
    """While a callback hangs nobody waits, and the newest changes are kept; what it raises is announced."""
    free = threading.Event()
    entered = threading.Event()
    told: list[int] = []

    def hang(change: StateChange) -> None:
        entered.set()
        free.wait()
        told.append(change.error_count)
        raise ValueError("my callback is broken")

    it = notifier(hang)
    it.tell(replace(CHANGE, error_count=0))
    assert entered.wait(30.0)
    for number in range(1, WAITING + 11):
        it.tell(replace(CHANGE, error_count=number))
    assert it.dropped == 10
    it.close(0.0)
    free.set()
    it.close(30.0)
    assert told == [0, *range(11, WAITING + 11)]
    assert it.failed == WAITING + 1
    assert "the callback for /var/log/app.log failed: ValueError: my callback is broken" in capfd.readouterr().err


def test_nothing_to_tell(notifier: Callable[..., Notifier]) -> None:
    """Without a callback and a webhook there is never a thread."""
    notifier().tell(CHANGE)
    assert THREAD not in [thread.name for thread in threading.enumerate()]


def test_a_callback_that_exits_is_called_again(notifier: Callable[..., Notifier]) -> None:
    """`sys.exit()` in a callback is a failure like any other, and ends nothing."""
    told: list[int] = []

    def exits(change: StateChange) -> None:
        told.append(change.error_count)
        sys.exit("enough")

    it = notifier(exits)
    for number in (1, 2):
        it.tell(replace(CHANGE, error_count=number))
        eventually(lambda: it.failed == number)  # noqa: B023 - called at once
    assert told == [1, 2]


def test_a_start_that_is_interrupted_delays_a_change(
    notifier: Callable[..., Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a signal handler raises while the thread is started leaves the change to the next one."""
    told: list[int] = []
    it = notifier(lambda change: told.append(change.error_count))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _interrupted)
        with pytest.raises(Interrupt):
            it.tell(replace(CHANGE, error_count=1))
    it.close(0.0)
    it.tell(replace(CHANGE, error_count=2))
    eventually(lambda: told == [1, 2])


def test_the_end_waits_for_a_webhook_for_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a handler gives what is still to be told a second, and no more than the time that `close` has."""
    given: list[float] = []
    monkeypatch.setattr(Notifier, "close", lambda _, timeout: given.append(timeout))
    for timeout in (None, 100.0, 0.0):
        handler = ResilientRotatingFileHandler(tmp_path / "app.log", webhook_url="http://127.0.0.1:9/")
        handler.close(timeout)
    assert given[2] == 0.0
    assert all(0.0 <= each <= 1.0 for each in given)


def _interrupted(_: threading.Thread) -> None:
    raise Interrupt

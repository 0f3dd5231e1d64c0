"""Tells others that a file cannot be written, or can be again: a callback and a webhook, on a thread of their own."""

import json
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

from dblog.files.threads import Background
from dblog.selflog import Announcer

THREAD: Final = "dblog-files-notify"
TIMEOUT: Final = 5.0
"""Seconds that a webhook has to answer."""
WAITING: Final = 100
"""Changes that may wait; beyond that the oldest ones are dropped."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A file could not be written any more, or could be again.

    Attributes:
        file: Its path.
        state: `degraded` or `normal`.
        time: Seconds since 1970.
        reason: What the system said; empty where the file is written again.
        error_count: Operations that failed so far.
        free_bytes: What its file system has free; None where that could not be asked.
        downtime_seconds: How long it could not be written; 0 at the beginning.
    """

    file: str
    state: Literal["degraded", "normal"]
    time: float
    reason: str
    error_count: int
    free_bytes: int | None
    downtime_seconds: float


class Notifier:
    """Hands changes to a callback and a webhook, in order, while nobody waits for either.

    The thread exists only while there is something to tell.

    Args:
        callback: Called with each change; what it raises is announced and goes no further.
        webhook_url: An http or https address to which each change is posted as JSON; redirects are not followed.
        announcer: Says what went wrong.

    Attributes:
        dropped: Changes that were never told, because too many waited.
        failed: Calls and posts that failed.
    """

    def __init__(
        self, announcer: Announcer, callback: Callable[[StateChange], object] | None, webhook_url: str | None
    ) -> None:
        self._announcer = announcer
        self._callback = callback
        self._webhook_url = webhook_url
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begin anew in a child: what waits is told by the parent."""
        self.dropped = self.failed = 0
        self._lock = threading.RLock()
        self._waiting: deque[StateChange] = deque()
        self._background = Background(self._run, THREAD, self._lock)

    def tell(self, change: StateChange) -> None:
        """Have a change told soon; returns at once and never raises."""
        if self._callback is None and self._webhook_url is None:
            return
        with self._lock:
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(change)
            self._background.start()  # where none can be had, the next change tries again

    def close(self, timeout: float) -> None:
        """Wait so many seconds at most for what is still to be told."""
        self._background.join(timeout)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._background.leave()
                    return
                change = self._waiting.popleft()
            if self._callback is not None:
                self._attempt("callback", self._callback, change)
            if self._webhook_url is not None:
                self._attempt("webhook", partial(_post, self._webhook_url), change)

    def _attempt(self, what: str, call: Callable[[StateChange], object], change: StateChange) -> None:
        try:
            call(change)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code and servers of others; the next change is told
            self.failed += 1
            self._announcer.announce(
                f"{what} {change.file}", f"the {what} for {change.file} failed: {_in_words(error)}"
            )


def _post(url: str, change: StateChange) -> None:
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    moment = datetime.fromtimestamp(change.time, UTC).isoformat(timespec="milliseconds")
    origin = {"hostname": socket.gethostname(), "process_id": os.getpid()}
    body = json.dumps({**asdict(change), "time": moment, **origin}).encode()
    request = Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - the settings let http(s) through
    with build_opener(NoRedirects).open(request, timeout=TIMEOUT):
        pass


def _in_words(error: BaseException) -> str:
    """What an error says without the address, which may hold a secret."""
    reason = getattr(error, "reason", None)
    code = getattr(error, "code", None)
    detail = f"HTTP {code}" if code else reason if isinstance(reason, OSError) else error
    return f"{type(error).__name__}: {detail}"

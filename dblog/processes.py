"""Forks and the end of the process: every living handler is told."""

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

WORKER_THREAD: Final = "dblog-worker"
"""The name of the thread of each handler: what is logged there would feed the queues for ever."""


class Closeable(Protocol):
    """What this module knows of a handler."""

    def close(self, timeout: float | None = None) -> None:
        """Deliver what waits."""

    def flush(self, timeout: float | None = None) -> bool:
        """Deliver what waits now."""

    @property
    def closed(self) -> bool:
        """True where nothing is left to deliver."""

    @property
    def close_timeout(self) -> float:
        """Seconds that closing may take."""

    def restart_after_fork(self) -> None:
        """Begin anew in the child."""


_LAST: Final = -1000
"""The priority of what `multiprocessing` calls at the end of a child: after its own and most others' finalizers."""

_SIGNALS: Final = 10
"""Signals that may come while a handler is closed before it is left alone."""

_LEAST: Final = 0.1
"""Seconds that a handler has for closing, however long others before it took."""

_handlers: set[Closeable] = set()  # strong: a handler that nobody holds any more may have records to deliver

_waiting_for_nothing: WeakSet[Closeable] = WeakSet()
"""Handlers that deliver each record at once: one that nobody holds any more may go."""

_children: set[int] = set()
"""Children of `multiprocessing` that close their handlers at their end; forked ones inherit the entries of others."""


def register(handler: Closeable, *, hold: bool = True) -> None:
    """Tell this handler when the process forks or ends.

    Args:
        handler: The handler.
        hold: Keep it alive until it is closed, because it may have something to deliver.
    """
    _handlers.difference_update([each for each in _handlers if each.closed])  # some close without being waited for
    (_handlers if hold else _waiting_for_nothing).add(handler)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        _close_at_the_end_of_a_child(_close_all)
    _close_at_the_end_of_a_pool_process()


def forget(handler: Closeable) -> None:
    """A closed handler need not be told."""
    _handlers.discard(handler)
    _waiting_for_nothing.discard(handler)


def _all() -> list[Closeable]:
    return [*_handlers, *_waiting_for_nothing]


def _close_all() -> None:
    begun = time.monotonic()
    interrupt: BaseException | None = None
    try:
        _flush_what_is_in_front()
        for handler in _all():
            handler.flush(0.0)  # all deliver at once, so that the slowest one decides how long it takes
    except BaseException as error:  # noqa: BLE001 - as below
        interrupt = error
    for handler in _all():
        for _ in range(_SIGNALS):
            try:
                left = handler.close_timeout - (time.monotonic() - begun)
                handler.close(0.0 if interrupt else max(_LEAST, left))
                break
            except BaseException as error:  # noqa: BLE001 - what a signal handler raises ends the rest sooner, not now
                interrupt = error
    if interrupt is not None:
        raise interrupt


def _flush_what_is_in_front() -> None:
    """Have each `MemoryHandler` hand its records on now: `logging.shutdown` would do so only after our end."""
    loggers = (logging.root, *logging.root.manager.loggerDict.values())
    for handler in {each for logger in loggers for each in getattr(logger, "handlers", ())}:
        target = getattr(handler, "target", None)
        if getattr(handler, "flushOnClose", False) and any(target is each for each in _all()):
            handler.flush()


def _restart_all() -> None:
    for handler in _all():
        handler.restart_after_fork()
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # it forgets finalizers that were made before this
        multiprocessing.register_after_fork(_close_all, _close_at_the_end_of_a_child)
    _close_at_the_end_of_a_pool_process()


def _close_at_the_end_of_a_child(close: Callable[[], None]) -> None:
    """Have `multiprocessing` close the handlers of its children, which end by `os._exit` and so without `atexit`."""
    from multiprocessing.util import Finalize

    if os.getpid() not in _children:
        _children.add(os.getpid())
        Finalize(None, close, exitpriority=_LAST)


def _close_at_the_end_of_a_pool_process() -> None:
    """Have Celery close the handlers of its pool's processes, which end by `os._exit` and run no finalizers either."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_close_when_told, weak=False, dispatch_uid="dblog")


def _close_when_told(**_: object) -> None:
    _close_all()


# Functions registered last run first: handlers are closed before `logging.shutdown` asks them to flush.
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)

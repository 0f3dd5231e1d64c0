"""Forks and the end of the process: every living handler is told."""

import atexit
import os
import weakref
from typing import Protocol


class Closeable(Protocol):
    """What this module knows of a handler."""

    def close(self, timeout: float | None = None) -> None:
        """Deliver what waits."""

    def restart_after_fork(self) -> None:
        """Begin anew in the child."""


_handlers: weakref.WeakSet[Closeable] = weakref.WeakSet()


def register(handler: Closeable) -> None:
    """Tell this handler when the process forks or ends."""
    _handlers.add(handler)


def forget(handler: Closeable) -> None:
    """A closed handler need not be told."""
    _handlers.discard(handler)


def _close_all() -> None:
    for handler in list(_handlers):
        handler.close()


def _restart_all() -> None:
    for handler in list(_handlers):
        handler.restart_after_fork()


# Functions registered last run first: handlers are closed before `logging.shutdown` asks them to flush.
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)

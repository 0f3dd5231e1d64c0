"""Calls and batches, compiled, where `dblog-speedups` is installed; without it all is done in Python."""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Final

SWITCH: Final = "DBLOG_SPEEDUPS"
"""The environment variable that is 0 where everything is to be done in Python."""
INTERFACE: Final = 3
"""What the compiled module has to speak; one that speaks another version is left alone."""


def load() -> ModuleType | None:
    """The compiled module; None where it is not installed, of another version, or switched off.

    In a free-threaded interpreter it is not used: there, loading it would bring the lock of the interpreter back.
    """
    if os.environ.get(SWITCH) == "0" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        speedups = import_module("dblog_speedups")
    except ImportError:  # not installed, or built for another Python
        return None
    return speedups if speedups.INTERFACE == INTERFACE else None

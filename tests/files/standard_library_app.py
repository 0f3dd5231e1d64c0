"""Runs a test class of CPython's own `test_logging` with dblog's handlers in place of the standard ones.

Called with the name of the class; prints a JSON object: how many tests ran, and the report of each one that did not
pass. The handlers are exchanged in what that test module alone sees as `logging`; everything else goes on with the
standard library's own.
"""

import importlib
import json
import logging
import logging.handlers
import sys
import types
import unittest
from typing import Any

from dblog import ResilientRotatingFileHandler, ResilientTimedRotatingFileHandler


class Exchanged(types.ModuleType):
    """A module in which some names mean something else."""

    def __init__(self, module: types.ModuleType, **names: object) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def main(class_name: str) -> None:
    """Exchange the handlers, run the class, and report."""
    tests: Any = importlib.import_module("test.test_logging")
    handlers = Exchanged(
        logging.handlers,
        RotatingFileHandler=ResilientRotatingFileHandler,
        TimedRotatingFileHandler=ResilientTimedRotatingFileHandler,
    )
    tests.logging = Exchanged(logging, handlers=handlers, FileHandler=ResilientRotatingFileHandler)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(getattr(tests, class_name)).run(result)
    reports = [*result.failures, *result.errors, *result.skipped]
    print(json.dumps({"ran": result.testsRun, "not_passed": {test.id().split(".")[-1]: why for test, why in reports}}))


if __name__ == "__main__":
    main(sys.argv[1])

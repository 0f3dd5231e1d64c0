"""Logging into PostgreSQL: every record becomes a row, exactly once. And plain log files that survive full disks."""

from typing import TYPE_CHECKING

from dblog.errors import ConfigurationError, DatabaseError, DblogError
from dblog.handler import DatabaseLogHandler
from dblog.manager import LoggerManager, get_logger, initialize_logger, shutdown_logging

if TYPE_CHECKING:
    from dblog.files.fulldisk.notify import StateChange
    from dblog.files.handler import ResilientRotatingFileHandler
    from dblog.files.logmanager import LogManager
    from dblog.files.metrics import FileMetrics
    from dblog.files.timed import ResilientTimedRotatingFileHandler
    from dblog.formatting import JsonFormatter, TextFormatter
    from dblog.stats import HandlerStats

__all__ = [
    "ConfigurationError",
    "DatabaseError",
    "DatabaseLogHandler",
    "DblogError",
    "FileMetrics",
    "HandlerStats",
    "JsonFormatter",
    "LogManager",
    "LoggerManager",
    "ResilientRotatingFileHandler",
    "ResilientTimedRotatingFileHandler",
    "StateChange",
    "TextFormatter",
    "get_logger",
    "initialize_logger",
    "shutdown_logging",
]

_ON_DEMAND = {
    "FileMetrics": "dblog.files.metrics",
    "HandlerStats": "dblog.stats",
    "JsonFormatter": "dblog.formatting",
    "LogManager": "dblog.files.logmanager",
    "ResilientRotatingFileHandler": "dblog.files.handler",
    "ResilientTimedRotatingFileHandler": "dblog.files.timed",
    "StateChange": "dblog.files.fulldisk.notify",
    "TextFormatter": "dblog.formatting",
}
"""What is imported when it is first asked for: dataclasses, pydantic and the log files cost more than all the rest."""


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'dblog' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_ON_DEMAND[name]), name)
    return found

"""Logging into PostgreSQL: every record becomes a row, exactly once."""

from dblog.errors import ConfigurationError, DatabaseError, DblogError
from dblog.handler import DatabaseLogHandler
from dblog.manager import LoggerManager, get_logger, initialize_logger, shutdown_logging
from dblog.stats import HandlerStats

__all__ = [
    "ConfigurationError",
    "DatabaseError",
    "DatabaseLogHandler",
    "DblogError",
    "HandlerStats",
    "LoggerManager",
    "get_logger",
    "initialize_logger",
    "shutdown_logging",
]

"""The front door for applications: configuration in, loggers out, everything closed in order."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dblog import defaults
from dblog.errors import ConfigurationError
from dblog.handler import DatabaseLogHandler
from dblog.selflog import Announcer

if TYPE_CHECKING:
    from pathlib import Path

    from dblog.files.handler import ResilientRotatingFileHandler
    from dblog.maintainer import Maintainer
    from dblog.settings import ConsoleSettings, LoggingSettings, Settings


class LoggerManager:
    """Attaches handlers to the root logger, sets levels per component, and undoes all of it at the end.

    All methods may be called from any thread, and again: a second `initialize` replaces the first.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._handlers: list[logging.Handler] = []
        self._database: DatabaseLogHandler | None = None
        self._file: ResilientRotatingFileHandler | None = None
        self._maintainer: Maintainer | None = None
        self._levels: dict[str, int] = {}
        self._root_level: int | None = None
        self._captures_warnings = False

    def initialize(self, config: "str | Path | Mapping[str, object] | Settings | None" = None) -> bool:
        """Set logging up; see `initialize_logger`."""
        from dblog.config import load_settings

        with self._lock:
            self.shutdown()
            try:
                settings = load_settings(config)
                handlers = list(self._make_handlers(settings))
            except ConfigurationError as error:
                self.shutdown()  # of two handlers the first may be there
                self._fall_back_to_console(error)
                return False
            self._attach(handlers, settings.logging.level)
            self._maintain(settings)
            for name, level in settings.logging.components.items():
                logger = logging.getLogger(name)
                self._levels[name] = logger.level
                logger.setLevel(level)
            self._captures_warnings = settings.logging.capture_warnings
            if self._captures_warnings:  # what the application switched on itself is not switched off
                logging.captureWarnings(True)
            return True

    def get_logger(self, name: str | None = None) -> logging.Logger:
        """The logger of a component; the same one for the same name, as the standard library caches it."""
        return logging.getLogger(name)

    def database_handler(self) -> DatabaseLogHandler | None:
        """The handler that `initialize` made, for its figures; None where there is none."""
        with self._lock:
            return self._database

    def file_handler(self) -> "ResilientRotatingFileHandler | None":
        """The handler that `initialize` made for `logging.file`; None where there is none."""
        with self._lock:
            return self._file

    def shutdown(self, timeout: float | None = None) -> bool:
        """Take the handlers off the root logger, deliver what waits, restore the levels."""
        with self._lock:
            if self._maintainer is not None:
                self._maintainer.close()
                self._maintainer = None
            # The file after the database: what is logged in the meantime is at least there.
            delivered = [_bring_away(each, timeout) for each in (self._database, self._file) if each is not None]
            for each in self._handlers:
                logging.getLogger().removeHandler(each)
                each.close()
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
            if self._root_level is not None:
                logging.getLogger().setLevel(self._root_level)
            if self._captures_warnings:
                logging.captureWarnings(False)
            self._handlers, self._levels, self._root_level, self._captures_warnings = [], {}, None, False
            self._database = self._file = None
            return all(delivered)

    def _make_handlers(self, settings: "Settings") -> Iterator[logging.Handler]:
        console = settings.logging.console
        if console.enabled:
            yield _console(console)
        if settings.logging.file.enabled:
            self._file = _file(settings.logging)
            yield self._file
        if settings.logging.database.enabled:
            chosen = settings.handler_settings().model_dump(by_alias=True)
            chosen["dsn"] = chosen["dsn"].get_secret_value()
            self._database = DatabaseLogHandler(**{**chosen, "console_level": _shown_from(console, "stderr")})
            yield self._database

    def _attach(self, handlers: list[logging.Handler], level: int) -> None:
        root = logging.getLogger()
        self._root_level = root.level
        root.setLevel(level)
        for handler in handlers:
            root.addHandler(handler)
        self._handlers = handlers

    def _maintain(self, settings: "Settings") -> None:
        chosen = settings.logging.database
        if chosen.enabled and chosen.maintain_every is not None:
            from dblog.maintainer import Maintainer

            self._maintainer = Maintainer(settings, chosen.maintain_every)

    def _fall_back_to_console(self, error: ConfigurationError) -> None:
        announcer = Announcer()
        for problem in error.problems:
            announcer.announce(problem, f"configuration: {problem}")
        announcer.announce("fallback", "logging goes to the console only until the configuration is corrected")
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(defaults.CONSOLE_FORMAT))
        self._attach([handler], logging.DEBUG)


def _bring_away(handler: "DatabaseLogHandler | ResilientRotatingFileHandler", timeout: float | None) -> bool:
    """Deliver what waits and close the handler, both within one time limit."""
    own = handler.close_timeout if isinstance(handler, DatabaseLogHandler) else defaults.CLOSE_TIMEOUT
    limit = own if timeout is None else timeout
    deadline = time.monotonic() + limit
    delivered = handler.flush(limit)
    logging.getLogger().removeHandler(handler)
    handler.close(max(0.0, deadline - time.monotonic()))
    return delivered


def _console(settings: "ConsoleSettings") -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout if settings.stream == "stdout" else sys.stderr)
    handler.setFormatter(logging.Formatter(settings.format))
    handler.setLevel(settings.level)
    return handler


def _shown_from(console: "ConsoleSettings", stream: str) -> int | None:
    """The level from which records are on a stream already: no fallback to it prints them again."""
    return console.level if console.enabled and console.stream == stream else None


def _file(settings: "LoggingSettings") -> "ResilientRotatingFileHandler":
    from dblog.files.handler import ResilientRotatingFileHandler
    from dblog.formatting import JsonFormatter, TextFormatter

    chosen = settings.file
    arguments = chosen.file_settings().model_dump(by_alias=True)
    arguments["console_level"] = _shown_from(settings.console, chosen.fallback_stream)
    try:
        handler = ResilientRotatingFileHandler(**arguments)
    except OSError as error:
        raise ConfigurationError(f"logging.file.path: {chosen.path!r} cannot be opened: {error.strerror}") from None
    handler.setLevel(chosen.level)
    if chosen.format == "json":
        handler.setFormatter(JsonFormatter(service=settings.service, mask_keys=settings.database.mask_keys))
    else:
        handler.setFormatter(TextFormatter(chosen.text_format, escape=chosen.escape))
    return handler


_manager = LoggerManager()


def initialize_logger(config: "str | Path | Mapping[str, object] | Settings | None" = None) -> bool:
    """Set up logging from `config.yml`, a mapping or settings; replaces what an earlier call set up.

    Args:
        config: A path, a mapping of the same shape, or `dblog.settings.Settings`; None for the file that `DBLOG_CONFIG`
            names, else `./config.yml` where there is one. `DBLOG_` variables override it.

    Returns:
        True when logging works, also while the database is down: records then wait. False for a mistake in the
        configuration, which is named on stderr; everything is logged to the console then.
    """
    return _manager.initialize(config)


def get_logger(name: str | None = None) -> logging.Logger:
    """A logger by its dotted name; may be called before `initialize_logger`."""
    return _manager.get_logger(name)


def shutdown_logging(timeout: float | None = None) -> bool:
    """Deliver what waits and take down what `initialize_logger` set up.

    Args:
        timeout: Seconds; None for `logging.database.close_timeout`.

    Returns:
        True where everything that was logged was in the database or the spool in time; False where time ran out
        and the rest was given to the spool, or printed.
    """
    return _manager.shutdown(timeout)

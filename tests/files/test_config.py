"""The settings of log files: checked, named in every mistake, and three sets of defaults."""

import inspect
import logging
from pathlib import Path

import pytest

from dblog import LogManager, ResilientRotatingFileHandler
from dblog.config import file_settings, load_settings, stream_settings
from dblog.errors import ConfigurationError
from dblog.files.settings import FileLogSettings, FileSettings, StreamSettings

MIB = 1024 * 1024
NO_DATABASE = {"database": {"enabled": False}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, so that nobody's config.yml is found."""
    monkeypatch.chdir(tmp_path)


def section(**keys: object) -> FileLogSettings:
    """The section `logging.file` with these keys."""
    return load_settings({"logging": {**NO_DATABASE, "file": keys}}).logging.file


def test_the_constructor_is_like_the_standard_library() -> None:
    """A handler without further arguments rotates nothing, keeps no buffer and compresses nothing."""
    settings = file_settings({"filename": "app.log"})
    assert (settings.max_bytes, settings.backup_count, settings.when) == (0, 0, "NEVER")
    assert (settings.buffer_size, settings.compression, settings.retention_days) == (0, "none", None)
    assert (settings.emergency_cleanup_threshold_mb, settings.recovery_check_interval_sec) == (50, 60)
    assert (settings.recovery_min_free_mb, settings.retry_attempts, settings.retry_base_delay) == (100, 3, 0.1)
    assert (settings.file_mode, settings.dir_mode) == (0o640, 0o750)


def test_the_section_has_the_defaults_of_a_service() -> None:
    """In `config.yml` files are 10 MiB, five are kept, packed at once, for 30 days; nothing is written unless asked."""
    settings = section()
    assert not settings.enabled
    assert (settings.max_bytes, settings.backup_count, settings.compression) == (10 * MIB, 5, "gzip")
    assert (settings.compress_at_once, settings.retention_days, settings.cleanup_interval) == (True, 30, 86_400)


def test_streams_have_the_defaults_of_much_traffic() -> None:
    """A `LogManager` keeps ten packed files of 10 MiB, and lines wait 0.1 s in 64 KiB."""
    settings = stream_settings({})
    assert (settings.max_bytes, settings.backup_count, settings.compression) == (10 * MIB, 10, "gzip")
    assert (settings.buffer_size, settings.flush_interval) == (65_536, 0.1)
    assert (settings.max_concurrent_writes, settings.retry_attempts) == (1000, 5)


def test_the_arguments_of_the_handler_are_its_settings() -> None:
    """Every setting is an argument of the handler with the same default, and only objects are arguments besides."""
    fields = {field.alias or name: field.default for name, field in FileSettings.model_fields.items()}
    arguments = {
        name: parameter.default
        for name, parameter in inspect.signature(ResilientRotatingFileHandler).parameters.items()
    }
    assert arguments.pop("on_state_change") is None
    assert arguments.pop("when") == str(fields.pop("when")).lower()
    for required in (arguments, fields):
        del required["filename"]
    assert arguments == fields


def test_what_the_section_says_reaches_the_handler() -> None:
    """Keys of the section and of the manager arrive under the names of the handler."""
    chosen = section(enabled=True, path="a.log", max_bytes="1MiB", at_time="12:30", when="daily", file_mode="0600")
    arguments = chosen.file_settings().model_dump(by_alias=True)
    assert (arguments["filename"], arguments["maxBytes"], arguments["when"]) == ("a.log", MIB, "DAILY")
    assert (str(arguments["atTime"]), arguments["file_mode"], arguments["errors"]) == (
        "12:30:00",
        0o600,
        "backslashreplace",
    )
    stream = stream_settings({"max_files": 3}).file_settings(Path("x/y.log"))
    assert (stream.filename, stream.backup_count, stream.encoding) == ("x/y.log", 3, "utf-8")


def test_variables_override_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key has a variable, in the spelling of a shell."""
    for name, value in {
        "ENABLED": "true",
        "PATH": "env.log",
        "MAX_BYTES": "50MB",
        "BACKUP_COUNT": "10",
        "RETENTION_DAYS": "30",
        "FILE_MODE": "0644",
        "FORMAT": "json",
        "LOG_ROTATION_EVENTS": "on",
        "CLEANUP_INTERVAL": "3600",
    }.items():
        monkeypatch.setenv(f"DBLOG_LOGGING__FILE__{name}", value)
    settings = section(path="file.log", max_bytes=1)
    assert (settings.enabled, settings.path, settings.max_bytes) == (True, "env.log", 50_000_000)
    assert (settings.backup_count, settings.file_mode, settings.format) == (10, 0o644, "json")
    assert (settings.log_rotation_events, settings.cleanup_interval) == (True, 3600)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"filename": ""}, "filename: '' string should have at least 1 character"),
        ({"maxBytes": "much"}, "maxBytes: 'much' could not parse value and unit from byte string"),
        ({"backupCount": -1}, "backupCount: -1 input should be greater than or equal to 0"),
        ({"mode": "r"}, "mode: 'r' input should be 'a' or 'w'"),
        ({"when": "yearly"}, "when: 'yearly' is no time of rotation; accepted: hourly, daily, never, S, M, H, D"),
        ({"atTime": 750}, "atTime: 750 is a number to YAML; accepted: a time of day in quotes, as in '12:30'"),
        ({"naming": "random"}, "naming: 'random' input should be 'index', 'timestamp' or 'date'"),
        ({"file_mode": 640}, "file_mode: 640 is no mode that lets its owner write; accepted: octal digits"),
        ({"file_mode": "rw-r"}, "file_mode: 'rw-r' is no file mode; accepted: three or four octal digits"),
        ({"encoding": "utf-9"}, "encoding: 'utf-9' is no encoding of text that Python knows; accepted: utf-8"),
        ({"encoding": "hex"}, "encoding: 'hex' is no encoding of text that Python knows; accepted: utf-8"),
        ({"errors": "shrug"}, "errors: 'shrug' is no error handler of codecs; accepted: strict, backslashreplace"),
        ({"maxBytes": 10, "max_total_bytes": 9}, "settings: max_total_bytes 9 must not be less than max_bytes 10"),
        ({"retry_base_delay": float("nan")}, "retry_base_delay: nan input should be a finite number"),
        ({"buffer_size": True}, "buffer_size: True is no value for this key"),
        ({"filename": "logs/"}, "filename: 'logs/' is a folder; accepted: the path of a file, as in /var/log"),
        ({"alert_path": "logs/.."}, "alert_path: 'logs/..' is a folder; accepted: the path of a file"),
    ],
    ids=range(17),
)
def test_every_mistake_is_named(arguments: dict[str, object], problem: str) -> None:
    """A wrong argument is named with its value and what is accepted."""
    with pytest.raises(ConfigurationError) as caught:
        file_settings({"filename": "app.log", **arguments})
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_a_webhook_is_a_url_and_a_secret() -> None:
    """What is no URL of the web is refused, without quoting it: it may hold a token."""
    assert file_settings({"filename": "a", "webhook_url": "https://hooks.example/T0KEN"}).webhook_url
    with pytest.raises(ConfigurationError) as caught:
        file_settings({"filename": "a", "webhook_url": "ftp://hooks.example/T0KEN"})
    assert str(caught.value) == "webhook_url: must be a URL that begins with http:// or https:// and names a host"


def test_an_enabled_section_needs_a_path() -> None:
    """`enabled` without a `path` is a mistake, and so is a format that does not work."""
    for keys, problem in (
        ({"enabled": True}, "logging.file: must have a path where it is enabled"),
        ({"text_format": "%(x"}, "logging.file.text_format: '%(x' is no format for a record: "),
        ({"text_format": "%(foo)s"}, "logging.file.text_format: '%(foo)s' is no format for a record: "),
    ):
        with pytest.raises(ConfigurationError) as caught:
            section(**keys)
        assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("path", ["/", "logs/"])
def test_a_folder_is_no_log_file(path: str) -> None:
    """What can only be a folder is refused, by the section and by the handler, and nothing is made."""
    with pytest.raises(ConfigurationError, match=r"^logging.file.path: '.*/' is a folder"):
        section(path=path)
    with pytest.raises(ConfigurationError, match=r"^filename: '.*/' is a folder"):
        ResilientRotatingFileHandler(path)
    assert not list(Path.cwd().iterdir())


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the user's home in `path`; a home that nobody knows is refused."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert section(path="~/app.log").path == "/home/somebody/app.log"
    with pytest.raises(
        ConfigurationError, match=r"^logging.file.path: '~nobody-here/x' begins with a home that is not"
    ):
        section(path="~nobody-here/x")


def test_a_callback_is_callable() -> None:
    """What cannot be called is refused before the file is made, not when the disk is full."""
    with pytest.raises(ConfigurationError, match=r"^on_state_change: 3 must be callable"):
        ResilientRotatingFileHandler("app.log", on_state_change=3)  # type: ignore[arg-type]
    assert not Path("app.log").exists()


def test_a_manager_names_settings_that_it_does_not_know(tmp_path: Path) -> None:
    """A setting of a `LogManager` that is misspelt is named, with what was meant."""
    with pytest.raises(ConfigurationError, match=r"^max_file: unknown key; did you mean max_files\?$"):
        LogManager(tmp_path, max_file=3)
    with pytest.raises(ConfigurationError, match=r"^backup_count: unknown key; did you mean max_files\?$"):
        LogManager(tmp_path, backup_count=3)
    assert "max_files" in {field.alias for field in StreamSettings.model_fields.values()}


def test_levels_are_levels() -> None:
    """The level of the section, and the one from which records do not wait, are names or numbers."""
    settings = section(level="warning", flush_level="critical")
    assert (settings.level, settings.flush_level) == (logging.WARNING, logging.CRITICAL)

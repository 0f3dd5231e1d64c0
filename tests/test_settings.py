"""The settings by themselves: frozen, validated, and complete enough to make a handler from."""

import inspect
import logging
from pathlib import Path

import pytest
from programs import run_to_the_end
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError

from dblog import DatabaseLogHandler, defaults
from dblog.settings import DatabaseSettings, HandlerSettings, Settings


def test_defaults_are_the_documented_ones() -> None:
    """Without a word from the user everything has the default of `dblog.defaults`."""
    settings = HandlerSettings()
    for name in (
        "table_prefix",
        "batch_size",
        "batch_bytes",
        "flush_interval",
        "queue_max_bytes",
        "partition_by",
        "partitions_ahead",
        "indexes",
        "connect_timeout",
        "query_timeout",
        "block_timeout",
        "close_timeout",
        "max_field_bytes",
        "mask_keys",
    ):
        assert getattr(settings, name) == getattr(defaults, name.upper()), name
    assert Settings().logging.level == logging.DEBUG
    assert Settings().logging.database.retention_days == defaults.RETENTION_DAYS
    assert Settings().logging.console.format == "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


def test_the_handlers_arguments_are_its_settings() -> None:
    """Every setting of a handler is an argument of `DatabaseLogHandler` with the same default, and none more."""
    fields = {field.alias or name: field.default for name, field in HandlerSettings.model_fields.items()}
    fields["dsn"], fields["auto_create"] = None, True
    parameters = inspect.signature(DatabaseLogHandler).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == fields


def test_settings_are_frozen() -> None:
    """Nobody changes settings after they were checked."""
    with pytest.raises(ValidationError):
        setattr(Settings().logging, "level", 10)  # noqa: B010 - mypy knows that it cannot be set


@pytest.mark.parametrize(
    ("given", "level"), [("debug", 10), (" INFO ", 20), ("WARN", 30), (35, 35), ("35", 35), (0, 0), ("notset", 0)]
)
def test_levels_by_name_or_number(given: object, level: int) -> None:
    """A level is a name in any case, or a number."""
    assert HandlerSettings.model_validate({"level": given}).level == level


def test_levels_of_the_application() -> None:
    """A level that the application has named is known by that name."""
    logging.addLevelName(33, "Audit")
    try:
        assert HandlerSettings.model_validate({"level": "Audit"}).level == 33
    finally:
        logging._levelToName.pop(33)
        logging._nameToLevel.pop("Audit")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "LOUD"),
        ("level", True),
        ("level", -1),
        ("level", 1.5),
        ("table_prefix", ""),
        ("table_prefix", "A"),
        ("table_prefix", "1a"),
        ("table_prefix", "a" * 33),
        ("table_prefix", 'a"'),
        ("schema", ""),
        ("schema", "pg_x"),
        ("schema", "é" * 32),
        ("schema", "a\0"),
        ("batch_size", 0),
        ("batch_bytes", "1 cow"),
        ("flush_interval", 0),
        ("flush_interval", float("nan")),
        ("queue_max_bytes", 1),
        ("overflow", "explode"),
        ("partition_by", "year"),
        ("indexes", "all"),
        ("service", ""),
        ("service", "a\0b"),
        ("mask_keys", "password"),
        ("mask_keys", [""]),
        ("unknown", 1),
    ],
)
def test_wrong_values_are_refused(name: str, value: object) -> None:
    """What could not work later is refused at once, under the name of the setting."""
    with pytest.raises(ValidationError) as caught:
        HandlerSettings.model_validate({name: value})
    assert caught.value.errors()[0]["loc"][0] == name


def test_the_connection_string_is_made_of_its_parts() -> None:
    """Parts are quoted as libpq needs it; what is not given is left to libpq."""
    database = DatabaseSettings(host="db", port=5433, username="a b", password=SecretStr("p'w\\"), database="logs")
    assert conninfo_to_dict(database.conninfo()) == {
        "host": "db",
        "port": "5433",
        "user": "a b",
        "password": "p'w\\",
        "dbname": "logs",
    }
    assert DatabaseSettings().conninfo() == ""
    both = DatabaseSettings(dsn=SecretStr("dbname=x"), password=SecretStr("p"))
    assert conninfo_to_dict(both.conninfo()) == {"dbname": "x", "password": "p"}
    with pytest.raises(ValidationError, match="dsn and host exclude each other"):
        DatabaseSettings(dsn=SecretStr("dbname=x"), host="db")


def test_secrets_are_not_shown() -> None:
    """Neither repr nor str of settings has a password."""
    settings = Settings.model_validate({"database": {"dsn": "postgresql://u:hunter2@h/d"}})
    assert "hunter2" not in f"{settings!r} {settings} {settings.handler_settings()!r}"


def test_the_handler_gets_all_of_it() -> None:
    """What the sections say arrives in the settings of the handler."""
    settings = Settings.model_validate(
        {
            "logging": {"service": "shop", "database": {"batch_size": 7, "spool_dir": "/var/spool/x", "level": "INFO"}},
            "database": {
                "dsn": "dbname=x",
                "schema": "s",
                "table_prefix": "t",
                "auto_create": False,
                "indexes": "full",
            },
        }
    )
    chosen = settings.handler_settings()
    assert (chosen.service, chosen.batch_size, chosen.spool_dir) == ("shop", 7, "/var/spool/x")
    assert (chosen.schema_name, chosen.table_prefix, chosen.auto_create, chosen.indexes) == ("s", "t", False, "full")
    assert (chosen.level, chosen.dsn.get_secret_value()) == (20, "dbname=x")


def test_threads_may_be_the_first_to_use_settings() -> None:
    """Threads that make their handlers at the same moment, before anybody has used the settings, all get them."""
    assert run_to_the_end(str(Path(__file__).with_name("first_settings.py"))) == "16 handlers\n"

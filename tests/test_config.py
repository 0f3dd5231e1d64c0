"""Reading the configuration: every mistake is named, all at once, and no secret with it."""

from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from dblog.config import handler_settings, load_settings
from dblog.errors import ConfigurationError
from dblog.settings import Settings

BASE = {"database": {"dsn": "dbname=x"}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, so that nobody's config.yml is found."""
    monkeypatch.chdir(tmp_path)


def problems(source: object, **options: Any) -> tuple[str, ...]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(source, **options)  # type: ignore[arg-type]
    return caught.value.problems


def written(text: str) -> Path:
    """A file with this content."""
    path = Path("my.yml")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("logging:\n  level: [\n", "my.yml, line 3: not valid YAML: "),
        ("logging:\n\tlevel: INFO\n", "my.yml, line 2: not valid YAML: "),
        ("a: 1\nb: 2\na: 3\n", "my.yml, line 3: not valid YAML: the key a is given twice"),
        ("logging:\n  level: INFO\n  level: DEBUG\n", "my.yml, line 3: not valid YAML: the key level is given twice"),
        ("database: {password: *hunter2}\n", "my.yml, line 1: not valid YAML: found undefined alias '...'"),
        ("database: {password: !hunter2 x}\n", "my.yml, line 1: not valid YAML: could not determine a constructor"),
        ("a: \x01\n", "my.yml: not valid YAML: it has characters that YAML does not allow"),
        ("a: \udcff\n", "my.yml: not valid YAML: it has characters that YAML does not allow"),
        ("- a\n- b\n", "my.yml: must hold the sections logging and database, not a list"),
        ("postgresql://u:hunter2@h/db", "my.yml: must hold the sections logging and database, not a str"),
        ("logging: {service: 2026-13-45}\n", "my.yml: not valid YAML: a value cannot be understood"),
        ("[" * 5000, "my.yml: not valid YAML: a value cannot be understood"),
        ("database: postgresql://u:hunter2@h/db\n", "database: must be a section with keys of its own, not a str"),
    ],
    ids=range(13),
)
def test_a_broken_file_is_named_with_its_line(text: str, problem: str) -> None:
    """What is no YAML, or not the right one, is said with file and line, without quoting what may be a secret."""
    (found,) = problems(written(text))
    assert found.startswith(problem)
    assert "hunter2" not in found


def test_a_file_that_cannot_be_read() -> None:
    """A missing file and a folder are named."""
    assert problems("missing.yml") == ("missing.yml: cannot be read: No such file or directory",)
    assert problems(Path()) == (".: cannot be read: Is a directory",)


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"loging": {}}, "loging: unknown key; did you mean logging?"),
        ({"logging": {"databse": {}}}, "logging.databse: unknown key; did you mean database?"),
        (
            {"logging": {"console": {"colour": 1}}},
            "logging.console.colour: unknown key; accepted: enabled, level, format, stream",
        ),
        ({"database": {"dsn": "", "pasword": "hunter2"}}, "database.pasword: unknown key; did you mean password?"),
        ({"logging": {"level": "LOUD"}}, "logging.level: 'LOUD' is not a level; accepted: NOTSET, DEBUG"),
        ({"logging": {"components": {"app.db": "LOUD"}}}, "logging.components.app.db: 'LOUD' is not a level"),
        (
            {"logging": {"components": ["app"]}},
            "logging.components: must be a section with keys of its own, not a list",
        ),
        ({"logging": "INFO"}, "logging: must be a section with keys of its own, not a str"),
        (
            {"logging": {"database": {"batch_size": "many"}}},
            "logging.database.batch_size: 'many' input should be a valid integer",
        ),
        (
            {"logging": {"database": {"overflow": "wait"}}},
            "logging.database.overflow: 'wait' input should be 'spool', 'block' or 'drop'",
        ),
        ({"logging": {"console": {"format": "%(x"}}}, "logging.console.format: '%(x' is no format for a record: "),
        ({"database": {"port": 70000}}, "database.port: 70000 input should be less than or equal to 65535"),
        ({"database": {"table_prefix": "My-App"}}, "database.table_prefix: 'My-App' must be 1 to 32 of a-z"),
        ({"database": {"dsn": "postgresql://u:hunter2@[::1/"}}, "database.dsn: is not a connection string; accepted:"),
        ({"database": {"dsn": "dbname=x", "host": "db"}}, "database: dsn and host exclude each other"),
        ({"database": {"password": ["hunter2"]}}, "database.password: input should be a valid string"),
        ({"logging": {}}, "database: the section is missing or does not say where the database is"),
        ({7: 1}, "7: 7 keys should be strings"),
        ({"logging": {"database": {"retention_days": True}}}, "logging.database.retention_days: True is no value"),
    ],
    ids=range(19),
)
def test_every_mistake_is_named(tree: dict[str, Any], problem: str) -> None:
    """A mistake names the key, the value and what is accepted; never a password."""
    whole = {**({} if "the section" in problem else BASE), **tree}
    (found,) = problems(whole)
    assert found.startswith(problem)
    assert "hunter2" not in found


def test_all_mistakes_come_at_once() -> None:
    """Somebody who made three mistakes learns of all three."""
    found = problems({"logging": {"level": "LOUD", "x": 1}, "database": {"dsn": "dbname=x", "port": "y"}})
    assert len(found) == 3


def test_a_file_in_utf16_and_an_empty_one() -> None:
    """YAML's other encoding works; an empty file means defaults."""
    path = Path("c.yml")
    path.write_text("logging: {service: Zoë}\ndatabase: {dsn: dbname=x}\n", encoding="utf-16")
    assert load_settings(path).logging.service == "Zoë"
    assert load_settings(written("# nothing\n"), dsn="dbname=x") == load_settings({}, dsn="dbname=x")
    assert load_settings(written("logging:\ndatabase:\n  dsn: dbname=x\n  port:\n")) == load_settings(BASE)


def test_where_the_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DBLOG_CONFIG` names the file, else `./config.yml` is taken where there is one."""
    Path("config.yml").write_text("logging: {service: here}\ndatabase: {dsn: dbname=x}\n")
    Path("other.yml").write_text("logging: {service: there}\ndatabase: {dsn: dbname=x}\n")
    assert load_settings().logging.service == "here"
    monkeypatch.setenv("DBLOG_CONFIG", "other.yml")
    assert load_settings().logging.service == "there"
    assert load_settings("config.yml").logging.service == "here"


def test_the_given_mapping_is_not_changed() -> None:
    """Reading leaves the caller's mapping as it was; finished settings are taken as they are."""
    tree: dict[str, Any] = {"logging": {"level": "INFO"}, "database": {"host": "h", "port": None}}
    load_settings(tree, dsn="dbname=y")
    assert tree == {"logging": {"level": "INFO"}, "database": {"host": "h", "port": None}}
    settings = Settings()
    assert load_settings(settings) is settings


def test_variables_override_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting has a variable; lists and mappings are given as YAML or JSON; loggers keep their case."""
    for name, value in {
        "DBLOG_LOGGING__LEVEL": "ERROR",
        "DBLOG_LOGGING__CONSOLE__ENABLED": "false",
        "DBLOG_LOGGING__DATABASE__BATCH_SIZE": "17",
        "DBLOG_LOGGING__DATABASE__QUEUE_MAX_BYTES": "1MiB",
        "DBLOG_LOGGING__DATABASE__MASK_KEYS": "[pin, iban]",
        "DBLOG_LOGGING__COMPONENTS": '{"app.db": "INFO", "noisy": "ERROR"}',
        "DBLOG_LOGGING__COMPONENTS__Shop.Cart": "WARNING",
        "DBLOG_DATABASE__SCHEMA": "logs",
        "DBLOG_LOGGING__SERVICE": "",
        "DBLOG_PORT": "tcp://10.0.0.1:80",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(
        {"logging": {"level": "INFO", "service": "kept", "components": {"noisy": "DEBUG", "x": 10}}, **BASE}
    )
    assert settings.logging.level == 40
    assert settings.logging.service == "kept"
    assert not settings.logging.console.enabled
    assert settings.logging.database.batch_size == 17
    assert settings.logging.database.queue_max_bytes == 1024 * 1024
    assert settings.logging.database.mask_keys == ("pin", "iban")
    assert settings.logging.components == {"app.db": 20, "noisy": 40, "x": 10, "Shop.Cart": 30}
    assert settings.database.schema_name == "logs"


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"DBLOG_LOGGING__LEVEL": "LOUD"}, "logging.level (from DBLOG_LOGGING__LEVEL): 'LOUD' is not a level"),
        ({"DBLOG_LOGGING_LEVEL": "INFO"}, "DBLOG_LOGGING_LEVEL: unknown variable; did you mean DBLOG_LOGGING__LEVEL?"),
        (
            {"DBLOG_LOGGING__LEVELS": "INFO"},
            "logging.levels (from DBLOG_LOGGING__LEVELS): unknown key; did you mean level?",
        ),
        ({"DBLOG_LOGGING__COMPONENTS": "{a"}, "DBLOG_LOGGING__COMPONENTS: '{a' is not a list or mapping"),
        (
            {"DBLOG_LOGGING__LEVEL": "INFO", "DBLOG_LOGGING__LEVEL__X": "1"},
            "DBLOG_LOGGING__LEVEL__X: level has a value already",
        ),
        (
            {"DBLOG_LOGGING__COMPONENTS": "a", "DBLOG_LOGGING__COMPONENTS__b": "INFO"},
            "DBLOG_LOGGING__COMPONENTS__b: components has",
        ),
        (
            {"DBLOG_DATABASE__PASSWORD": "hunter2", "DBLOG_DATABASE__PORT": "x"},
            "database.port (from DBLOG_DATABASE__PORT): 'x'",
        ),
    ],
    ids=range(7),
)
def test_mistakes_in_variables_are_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str
) -> None:
    """A mistake in a variable is reported under the variable's name."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (found,) = problems(BASE)
    assert found.startswith(problem)


def test_one_dsn_replaces_all_that_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DBLOG_DSN` stands for everything that says where the database is, an explicit DSN for that as well."""
    tree = {"database": {"host": "file", "password": "p", "table_prefix": "kept"}}
    monkeypatch.setenv("DBLOG_DSN", "host=environment")
    settings = load_settings(tree)
    assert conninfo_to_dict(settings.database.conninfo()) == {"host": "environment"}
    assert settings.database.table_prefix == "kept"
    assert conninfo_to_dict(load_settings(tree, dsn="host=argument").database.conninfo()) == {"host": "argument"}
    monkeypatch.setenv("DBLOG_DATABASE__HOST", "other")
    monkeypatch.setenv("DBLOG_DATABASE__PASSWORD", "apart")
    assert conninfo_to_dict(load_settings(tree).database.conninfo()) == {"host": "environment", "password": "apart"}
    assert handler_settings({}).dsn.get_secret_value() == "host=environment"
    assert handler_settings({"dsn": "host=argument"}).dsn.get_secret_value() == "host=argument"


@pytest.mark.parametrize("name", ["PGHOST", "PGSERVICE", "PGDATABASE"])
def test_libpq_may_say_where_the_database_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Where libpq's own variables name the database, the section may be missing."""
    monkeypatch.setenv(name, "x")
    assert load_settings({}).database.conninfo() == ""


def test_without_the_database_no_section_is_needed() -> None:
    """Somebody who logs to the console only need not say where a database is."""
    assert load_settings({"logging": {"database": {"enabled": False}}}).database.dsn is None

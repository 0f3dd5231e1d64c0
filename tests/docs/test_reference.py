"""The references name everything that there is, with the defaults that are in force, and nothing else."""

import dataclasses
import inspect
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import annotated_types
import click
import pytest
import yaml
from documents import DOCS
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dblog import (
    DatabaseLogHandler,
    FileMetrics,
    HandlerStats,
    JsonFormatter,
    ResilientRotatingFileHandler,
    StateChange,
)
from dblog.cli.main import COMMANDS
from dblog.cli.main import dblog as entry
from dblog.columns import BATCH_COLUMNS, BATCH_SERVER_COLUMNS, LOG_COLUMNS, SERVER_COLUMNS, Column
from dblog.fields import Section
from dblog.files.settings import RotationSettings, StreamSettings
from dblog.reading.fields import FIELDS
from dblog.settings import Settings
from dblog.store.schema import INDEXES

CONFIGURATION = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
TABLE = (DOCS / "reference" / "table.md").read_text(encoding="utf-8")
CLI = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
HANDLER = (DOCS / "reference" / "handler.md").read_text(encoding="utf-8")
FILES = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")


def settings_below(section: Section, *above: str) -> Iterator[tuple[str, FieldInfo, object]]:
    """The path, the field and the default of every setting."""
    for name, field in type(section).model_fields.items():
        path, value = (*above, field.alias or name), getattr(section, name)
        if isinstance(value, Section):
            yield from settings_below(value, *path)
        else:
            yield ".".join(path), field, value


KEYS = {path: (field, value) for path, field, value in settings_below(Settings())}


def section_of(text: str, heading: str) -> str:
    """The text below a heading, up to the next of its level or above."""
    start = text.index(f"\n{heading}\n") + 1
    level = len(heading) - len(heading.lstrip("#"))
    end = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(text, start + len(heading))
    return text[start : end.start() if end else None]


def rows_of(text: str) -> list[list[str]]:
    """The cells of every line of the tables in a text, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = [number for number, row in enumerate(rows, -1) if set(row[0]) == {"-"}]
    return [row for number, row in enumerate(rows) if not {number, number - 1} & set(heads)]


def test_every_key_is_named_once() -> None:
    """The headings of the configuration reference are exactly the keys of the settings."""
    headings = re.findall(r"^### `([\w.]+)`$", CONFIGURATION, re.MULTILINE)
    assert sorted(headings) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_default_and_variable_of_a_key(key: str) -> None:
    """The default that stands in the reference, read as YAML, is the one in force, and the variable is the key's."""
    head = re.sub(r"\s+", " ", section_of(CONFIGURATION, f"### `{key}`").partition("\n- ")[2].partition("\n\n")[0])
    found = re.search(r"Default: (?:`(.+?)`|none)\.", head)
    assert found, head
    default = KEYS[key][1]
    assert in_force(key, found[1]) == default
    assert (found[1] is None) == (default is None)
    assert f"`DBLOG_{key.replace('.', '__').upper()}`" in head


@pytest.mark.parametrize("key", KEYS)
def test_accepted_values_of_a_key(key: str) -> None:
    """The bounds and the choices of a key stand in its reference."""
    head = section_of(CONFIGURATION, f"### `{key}`").partition("\n- ")[2].partition("\n\n")[0]
    field = KEYS[key][0]
    if get_origin(field.annotation) is Literal:
        assert re.findall(r"`(\w+)`", head.partition("Accepted:")[2].partition("Environment:")[0]) == [
            *get_args(field.annotation)
        ]
    bounds = [
        str(limit)
        for each in field.metadata
        if isinstance(each, annotated_types.Ge | annotated_types.Le)
        for limit in [each.ge if isinstance(each, annotated_types.Ge) else each.le]
    ]
    if not head.startswith("Seconds."):  # their bounds stand above, among the kinds
        assert re.findall(r"\d+", head.partition("Accepted:")[2].partition("Environment:")[0]) == bounds


def in_force(key: str, written: str | None) -> object:
    """What a value becomes when it stands in `config.yml`."""
    tree: Any = yaml.safe_load(written) if written else None
    for part in reversed(key.split(".")):
        tree = {part: tree}
    loaded = {path: value for path, _, value in settings_below(Settings.model_validate(tree if written else {}))}
    value = loaded[key]
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("## `dblog_logs`", (*LOG_COLUMNS, *SERVER_COLUMNS)),
        ("## `dblog_batches`", (*BATCH_COLUMNS, *BATCH_SERVER_COLUMNS)),
    ],
)
def test_columns(heading: str, columns: tuple[Column, ...]) -> None:
    """The table reference has each column in its order, with its type and whether it may be NULL."""
    rows = [(name.strip("`"), kind, null) for name, kind, null, _ in rows_of(section_of(TABLE, heading))]
    assert rows == [(column.name, column.type, "yes" if column.nullable else "") for column in columns]


def test_indexes() -> None:
    """The table reference says which profile has which index on the records."""
    rows = {row[0].strip("`"): row[2:] for row in rows_of(section_of(TABLE, "## Indexes").partition("\n### ")[0])}
    for suffix in {suffix for profile in INDEXES.values() for suffix in profile}:
        shown = dict(zip(("minimal", "standard", "full"), rows.pop(f"dblog_logs_{suffix}"), strict=True))
        assert shown == {profile: "yes" if suffix in suffixes else "" for profile, suffixes in INDEXES.items()}
    assert rows.keys() == {"dblog_logs_pkey", "dblog_batches_pkey", "dblog_batches_by_xact"}


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*above, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


@pytest.mark.parametrize(("name", "command"), list(commands(entry, "dblog")), ids=str)
def test_options_of_a_command(name: str, command: click.Command) -> None:
    """The reference of a command has exactly its options, each with its default."""
    shown = {}
    text = section_of(CLI, f"{'#' * (name.count(' ') + 1)} `{name}`")
    for row in rows_of(text.partition("\n### ")[0] if isinstance(command, click.Group) else text):
        flags = re.findall(r"(?<![\w-])--?[a-z][\w-]*", row[0])
        shown.update(dict.fromkeys(flags, row[1]))
    options = [each for each in command.params if isinstance(each, click.Option) and each.name not in COMMON]
    assert shown.keys() == {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
    for option in options:
        if option.show_default:
            assert shown[option.opts[-1]] == str(option.default), option.name


COMMON = ("config_path", "dsn")
"""What every command takes; it stands at the top of the reference."""


def test_all_commands_are_there() -> None:
    """The reference has a heading for each command and no other."""
    assert set(re.findall(r"^## `dblog (\w+)`$", CLI, re.MULTILINE)) == set(COMMANDS)


def test_fields_of_the_filter_language() -> None:
    """The reference has each field with its column."""
    rows = {row[0].strip("`"): row[1].strip("`") for row in rows_of(section_of(CLI, "## Filters")) if len(row) == 3}
    rows.pop("extra.<key>")
    assert rows == {field.name: field.column for field in FIELDS.values()}


def test_arguments_of_the_handler() -> None:
    """The handler's reference has each argument in its order, with its default."""
    signature = inspect.signature(DatabaseLogHandler).parameters
    rows = {row[0].strip("`"): row[1].strip("`") for row in rows_of(section_of(HANDLER, "## Arguments"))}
    assert list(rows) == list(signature)
    rows.pop("mask_keys")
    assert rows == {name: str(signature[name].default) for name in rows}


def test_figures_of_the_handler() -> None:
    """The handler's reference has each figure of `stats()`."""
    figures = {name for name, value in inspect.getmembers(HandlerStats) if not name.startswith("_")}
    assert {row[0].strip("`") for row in rows_of(section_of(HANDLER, "## Figures"))} == figures


def test_arguments_of_the_file_handler() -> None:
    """The reference of files has each argument in its order, with its default."""
    signature = inspect.signature(ResilientRotatingFileHandler).parameters
    rows = {row[0].strip("`"): row[1].strip("`") for row in rows_of(section_of(FILES, "## Arguments"))}
    assert list(rows) == list(signature)
    assert rows.pop("filename") == ""
    defaults = {name: signature[name].default for name in rows}
    for name in ("file_mode", "dir_mode"):
        assert rows.pop(name) == oct(defaults.pop(name))
    assert rows == {name: str(default) for name, default in defaults.items()}


def test_figures_of_files() -> None:
    """The reference of files has each figure of `metrics()`."""
    figures = [field.name for field in dataclasses.fields(FileMetrics)]
    assert [row[0].strip("`") for row in rows_of(section_of(FILES, "## Figures"))] == figures


def test_fields_of_a_change_of_the_state() -> None:
    """The reference of files has each field of a `StateChange`, and what the webhook gets beside them."""
    rows = {row[0].strip("`"): row[2] for row in rows_of(section_of(FILES, "## Changes of the state"))}
    in_json_only = [name for name, meaning in rows.items() if meaning.startswith("in JSON only")]
    assert list(rows) == [*(field.name for field in dataclasses.fields(StateChange)), *in_json_only]
    assert in_json_only == ["hostname", "process_id"]


def test_attributes_of_the_file_handler() -> None:
    """What the reference of files names is there, with its arguments."""
    for name, _ in rows_of(section_of(FILES, "## Attributes and methods")):
        attribute, _, arguments = name.strip("`").partition("(")
        member = inspect.getattr_static(ResilientRotatingFileHandler, attribute)
        shown = re.findall(r"(\w+)=None", arguments)
        assert isinstance(member, property) or list(inspect.signature(member).parameters)[1:] == shown


def test_keys_of_json_lines() -> None:
    """The reference of files has the keys of a line of JSON, and says which are always there."""
    rows = {row[0].strip("`"): row[1] for row in rows_of(section_of(FILES, "## JSON lines"))}
    plain = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "x"})))
    assert [name for name, there in rows.items() if there == "always"] == list(plain)


def test_settings_of_a_log_manager() -> None:
    """The reference of files has the defaults by which streams differ from a plain file."""
    rows = {row[0].strip("`"): row[1] for row in rows_of(section_of(FILES, "## `LogManager`")) if len(row) == 3}
    own = StreamSettings()
    named = {field.alias or name: name for name, field in StreamSettings.model_fields.items()}
    assert StreamSettings.model_validate(rows) == own
    common = RotationSettings().model_dump()
    differ = {alias for alias, name in named.items() if getattr(own, name) != common.get(name)}
    assert differ - {"encoding", "errors"} == rows.keys()

"""`dblog config`: check, show and example."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from dblog.cli.main import run
from dblog.config import load_settings
from dblog.settings import Settings

DSN = "postgresql://app@localhost:5432/app"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """Every key that a configuration may have."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, *above, key)
        else:
            yield (*above, key)


def given(tree: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """Every key that a configuration has."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from given(value, *above, key)
        else:
            yield (*above, key)


def test_the_example_is_complete_and_has_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """The example names every key there is, and loading it gives the defaults."""
    assert run(["config", "example"]) == 0
    tree = yaml.safe_load(capsys.readouterr().out)
    assert sorted(given(tree)) == sorted(keys(Settings))
    assert load_settings(tree) == Settings.model_validate({"database": {"dsn": DSN}})


def test_the_example_can_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The example, saved as config.yml, is found in the working directory and right."""
    run(["config", "example"])
    (folder / "config.yml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["config", "check"]) == 0
    assert capsys.readouterr().out == "the configuration is right (config.yml)\n"


def test_each_mistake_is_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All mistakes are told at once, each on its own line with the key, the value and what is accepted."""
    path = folder / "wrong.yml"
    path.write_text("logging: {levle: INFO, database: {batch_size: many}}\ndatabase: {port: 0}\n", encoding="utf-8")
    assert run(["config", "check", "--config", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("dblog: error: ") for line in lines)
    assert any("logging.levle: unknown key; did you mean level?" in line for line in lines)
    assert any("'many'" in line for line in lines)


def test_what_is_in_force_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, environment and `--dsn` are merged as an application merges them, and named."""
    (folder / "config.yml").write_text("logging: {level: info, components: {app.db: 15}}\n", encoding="utf-8")
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__BATCH_SIZE", "7")
    assert run(["config", "show", "--dsn", DSN]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("#")] == [
        "# from --dsn",
        "# from DBLOG_LOGGING__DATABASE__BATCH_SIZE",
        "# from config.yml",
    ]
    tree = yaml.safe_load(out)
    assert tree["logging"]["level"] == "INFO"
    assert tree["logging"]["components"] == {"app.db": 15}
    assert tree["logging"]["database"]["batch_size"] == 7
    assert tree["database"]["table_prefix"] == "dblog"


@pytest.mark.parametrize(
    "database",
    [
        "{dsn: 'postgresql://app:S3cr3t@db/app?sslpassword=S3cr3t'}",
        "{dsn: 'host=db password=S3cr3t'}",
        "{host: db, password: S3cr3t}",
    ],
)
def test_secrets_are_hidden(folder: Path, capsys: pytest.CaptureFixture[str], database: str) -> None:
    """No password is shown, wherever it stands; the rest of the connection string is."""
    (folder / "config.yml").write_text(f"database: {database}\n", encoding="utf-8")
    assert run(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert "S3cr3t" not in out
    assert "********" in out
    assert "db" in str(yaml.safe_load(out)["database"])

"""The command line of the benchmarks refuses what it cannot do, in one line and at once."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import command
from benchmarks.measure import Measured
from benchmarks.report import as_json


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The last line on stderr of a command that ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def figures(path: Path, contender: str = "dblog", **machine: str) -> Path:
    """A file as --json writes it."""
    table = Measured("Cost", {contender: [{"p50_us": 1.0}]})
    path.write_text(as_json({"cores": "2", "date": "2026-11-21", **machine}, [table]), encoding="utf-8")
    return path


@pytest.mark.parametrize("option", ["--rounds", "--records", "--seconds", "--rows"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_an_amount_of_nothing_is_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero, less, and what is no number are refused with the option and the value."""
    line = refusal(monkeypatch, capsys, option, value)
    assert option in line
    assert repr(value) in line


def test_figures_that_cannot_be_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is missing, or that --json did not write, is named with what is wrong, in one line."""
    foreign = tmp_path / "foreign.json"
    assert "No such file" in refusal(monkeypatch, capsys, "--figures", foreign)
    for text in ("no JSON", json.dumps([]), json.dumps({"machine": {}, "tables": [{"rows": 1}]})):
        foreign.write_text(text, encoding="utf-8")
        assert refusal(monkeypatch, capsys, "--figures", foreign).endswith("foreign.json: no figures that --json wrote")


def test_only_runs_of_the_same_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another day does not matter; other contenders or another machine are refused."""
    first, later = figures(tmp_path / "1"), figures(tmp_path / "2", date="2026-11-22")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--figures", str(first), "--figures", str(later)])
    command.main()
    assert "### Cost" in capsys.readouterr().out
    line = refusal(monkeypatch, capsys, "--figures", first, "--figures", figures(tmp_path / "3", cores="8"))
    assert line.endswith("measured with another cores than the files before")
    line = refusal(monkeypatch, capsys, "--figures", first, "--figures", figures(tmp_path / "4", contender="loguru"))
    assert line.endswith("'Cost' has other contenders or figures than before")


@pytest.mark.parametrize("option", ["--markdown", "--json"])
def test_a_missing_folder_is_told_before_anything_is_measured(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours of measuring do not end with nowhere to write to."""
    assert "there is no folder" in refusal(monkeypatch, capsys, option, tmp_path / "missing" / "file")


def test_missing_matplotlib_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plots need it, and the line says how to get it."""
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert "pip install matplotlib" in refusal(monkeypatch, capsys, "--plots", tmp_path)

"""What somebody else may have written into a manifest."""

import json
from pathlib import Path

import pytest

from dblog.cli.main import run


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "../other.parquet"}, "of another file"),
        ({"rows": "many"}, "damaged"),
        ({"installation": {"system": 1}}, "damaged"),
        ({"time_from": "yesterday"}, "damaged"),
        ({"sha256": None}, "damaged"),
        ({"columns": {}}, "damaged"),
        ({"unknown": 1}, "damaged"),
        ({"manifest": []}, "version"),
    ],
)
def test_rubbish_in_a_manifest_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], said: str
) -> None:
    """Whatever somebody wrote into a manifest, it is named as damaged and nothing else happens."""
    path = tmp_path / "dblog_logs" / "date=2026-01-01" / "_a-1.jsonl.gz.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(WHOLE | change), encoding="utf-8")
    assert run(["archive", "--verify", str(tmp_path)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"dblog: error: {path}: ")
    assert said in line
    assert line.count("\n") == 1


WHOLE = {
    "manifest": 2,
    "file": "a-1.jsonl.gz",
    "format": "jsonl",
    "partition": "a",
    "rows": 1,
    "time_from": "2026-01-01T00:00:00+00:00",
    "time_to": "2026-01-01T00:00:00+00:00",
    "size": 1,
    "sha256": "",
    "rows_sha256": "",
    "schema_revision": "0001",
    "columns": {"id": "bigint"},
    "written_at": "2026-02-01T00:00:00+00:00",
    "written_by": "dblog",
    "installation": None,
}

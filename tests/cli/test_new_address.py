"""Rows that wait for a database whose address has changed."""

from pathlib import Path

import pytest
from delivered import messages
from eventually import eventually
from servers import Database
from spooled import NOWHERE, batch_of, leave, open_spool, shop, write_segment

from dblog.cli.main import run
from dblog.location import place, place_of, tables_of, target
from dblog.sinks import survey

WRITER = "0123456789abcdef" * 2


def test_rows_for_an_address_that_is_gone_are_brought_home(
    database: Database, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows for a host that was renamed stay with a note, and `--from` delivers them to this database, once."""
    old = "postgresql://app@db-old:54399/app"
    written = [batch_of(WRITER, seq, f"m{seq}") for seq in (1, 2, 3)]
    arguments = ["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]
    for said in ("3 rows delivered to ", "0 rows delivered, 3 rows were there already to "):  # then a copy of the disk
        spool = open_spool(directory, old, WRITER)
        for batch in written:
            spool.append(batch)
        spool.abandon()
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert out.startswith("nothing is left for ")
        assert "3 rows for app@db-old:54399/app, tables dblog_* stay here; `--from` delivers them" in err
        assert run([*arguments, "--from", "app@db-old:54399/app"]) == 0
        assert capsys.readouterr().out.startswith(said)
        found = messages(database.dsn)
        assert [found[f"m{number}"] for number in (1, 2, 3)] == [1] * 3
    assert list(directory.iterdir()) == []


def test_the_source_must_be_clear(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A source for which there are no rows, or that has several tables, is a usage error that names those there are."""
    leave(directory, "postgresql://app@db-old/app", "one")
    arguments = ["replay", "--dsn", NOWHERE, "--spool-dir", str(directory), "--from"]
    assert run([*arguments, "app@db-odd:5432/app"]) == 2
    assert "accepted: 'app@db-old:5432/app, tables dblog_*'" in capsys.readouterr().err
    assert run([*arguments, "app@db-old:5432/app"]) == 1
    assert "2 rows left for " in capsys.readouterr().err  # one tells of the writer's end
    header = target("postgresql://app@db-old/app", "shop", "other")
    write_segment(directory / WRITER / "00000001.seg", batch_of(WRITER, 1, "two"), target=header)
    assert run([*arguments, "app@db-old:5432/app"]) == 2
    assert "tables shop.other_*'" in capsys.readouterr().err


def test_the_same_server_has_one_target() -> None:
    """Capitals of a host and the default port do not part what belongs together, and targets can be read again."""
    assert target("host=DB.example dbname=app", None, "dblog") == target(
        "host=db.example port=5432 dbname=app", None, "dblog"
    )
    assert target("host=/run/PG dbname=app", None, "dblog") != target("host=/run/pg dbname=app", None, "dblog")
    for conninfo in ("host=a,b port=1,2 user=app dbname=app", "host=/run/postgresql port=5432 user=app", "service=x"):
        known = target(conninfo, None, "dblog")
        assert (place_of(known), tables_of(known)) == (place(conninfo), "dblog_*")
    assert (place_of("anything"), tables_of("anything")) == ("anything", "")


def test_who_takes_over_is_not_promised_where_nobody_will(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where all living writers write elsewhere, the rows that are left are shown with their place and `--from`."""
    leave(directory, "postgresql://app@DB-old/app", "left")
    assert run(["writers", "--spool-dir", str(directory)]) == 1
    assert "another writer to the same database takes them over" in " ".join(capsys.readouterr().out.split())
    with shop(directory, NOWHERE) as running:
        running.log("hello")
        eventually(lambda: any(each.status for each in survey.writers(directory)), "a status")
        assert run(["writers", "--spool-dir", str(directory)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "no living writer writes to app@db-old:5432/app, tables dblog_*" in out
    assert "takes them over" not in out

"""Whose an archive is: one installation archives into it, no other, and every one may restore from it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, fill, partition_of, table_of, take
from servers import Database, Databases

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.archive.claims import claim, take_over
from dblog.archive.installation import Installation, installation_of
from dblog.archive.stores import LocalStore
from dblog.cli.main import run
from dblog.errors import DblogError
from dblog.store.engine import keeping
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]

SHOP = Installation("7300000000000000001", "shop", "public", "dblog")


@pytest.fixture
def another(databases: Databases, migrated_template: str) -> Iterator[Database]:
    """A second database on the server."""
    with databases.new(migrated_template) as fresh:
        yield fresh


def claims_of(archive: Archive) -> list[str]:
    """The files that say whose the archive is."""
    return [name for name in archive.store.names("dblog_logs") if name.startswith("_")]


def test_another_database_is_refused(
    database: Database, another: Database, kept: Kept, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the command nor the retention adds a file to another's archive; it is said whose it is and what to do."""
    with database.connect() as connection, another.connect() as other:
        fill(connection, 20)
        fill(other, 20)
    take(kept, partition_of(database, 20), archive, "jsonl")
    before = sorted(Path(archive.store.location).rglob("*"))
    assert run(["archive", archive.store.location, "--dsn", another.dsn]) == 1
    said = capsys.readouterr().err
    assert f"archive {archive.where}: it belongs to the database {database.name}" in said
    assert f"this is the database {another.name}" in said
    assert "a folder of its own" in said
    with keeping(another.settings.database) as (connection_, names), pytest.raises(DblogError, match="it belongs to"):
        archiver(archive.store.location, names)(connection_, partition_of(another, 20))
    assert sorted(Path(archive.store.location).rglob("*")) == before


def test_the_retention_is_refused_before_it_detaches(
    database: Database, another: Database, kept: Kept, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the archive of another installation, or a claim that is damaged, prune leaves every row in the table."""
    with database.connect() as connection, another.connect() as other:
        fill(connection, 20)
        fill(other, 20)
    take(kept, partition_of(database, 20), archive, "jsonl")
    before = table_of(another)
    prune = ["prune", "--retention-days", "10", "--force", "--archive", archive.store.location, "--dsn", another.dsn]
    assert run([*prune, "--dry-run", "--json"]) == 0
    assert {one["action"] for one in json.loads(capsys.readouterr().out)["tables"]} == {"would keep"}
    assert run([*prune, "--json"]) == 1
    notes = [one["note"] for one in json.loads(capsys.readouterr().out)["tables"] if one["action"] == "kept"]
    assert [f"it belongs to the database {database.name}" in note for note in notes] == [True]
    Path(archive.where, claims_of(archive)[0]).write_text("", encoding="utf-8")
    assert run(prune) == 1
    assert "it does not say whose" in capsys.readouterr().out
    assert table_of(another) == before


def test_a_successor_restores_and_takes_over(
    database: Database, another: Database, kept: Kept, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new database gets the rows of a lost one, is told whose they are, and archives there, too, when asked to."""
    with database.connect() as connection:
        fill(connection, 20)
    take(kept, partition_of(database, 20), archive, "jsonl")
    place = [archive.store.location, "--dsn", another.dsn]
    assert run(["restore", *place]) == 0
    assert f"note: rows of the database {database.name}" in capsys.readouterr().err
    assert table_of(another) == table_of(database)
    with another.connect() as other:
        fill(other, 21)
    assert run(["archive", *place]) == 1
    assert run(["archive", *place, "--take-over", "--json"]) == 0
    assert sum(one["written"] for one in json.loads(capsys.readouterr().out)) == 10
    assert run(["archive", *place]) == run(["archive", archive.store.location, "--verify"]) == 0
    with pytest.raises(DblogError, match=f"it belongs to the database {another.name}"):
        take(kept, partition_of(database, 20), archive, "jsonl")
    assert run(["restore", *place]) == 0
    assert f"note: rows of the database {database.name}" in capsys.readouterr().err


def test_the_manifest_names_the_installation(database: Database, kept: Kept, archive: Archive) -> None:
    """Database, schema, prefix and the server, as its system identifier, are in every manifest."""
    with database.connect() as connection:
        fill(connection, 20)
        (system,) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
    take(kept, partition_of(database, 20), archive, "jsonl")
    (file,) = archive.files()
    assert file.manifest.installation == Installation(system, database.name, "public", "dblog")


def test_a_server_that_may_not_be_asked_is_any(database: Database, kept: Kept, archive: Archive) -> None:
    """Where a role may not read the system identifier, the database, the schema and the prefix decide."""
    connection, names = kept
    with connection.begin() as transaction:
        known = installation_of(connection, names)
        connection.execute(sa.text("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC"))
        connection.execute(sa.text("SET LOCAL ROLE pg_read_all_data"))
        unknown = installation_of(connection, names)
        transaction.rollback()
    assert (unknown.system, unknown.database) == (None, database.name)
    for first, second in ((known, unknown), (unknown, known)):
        take_over(archive, first)
        claim(archive, second)
    with pytest.raises(DblogError, match="it belongs to"):
        claim(archive, replace(unknown, schema="other"))


@pytest.mark.parametrize("change", [{"system": "8"}, {"database": "b"}, {"schema": "b"}, {"prefix": "b"}])
def test_each_part_tells_one_from_another(tmp_path: Path, change: dict[str, str]) -> None:
    """Another server, database, schema or prefix is another installation."""
    archive = archive_at(tmp_path)
    claim(archive, SHOP)
    claim(archive, SHOP)
    with pytest.raises(DblogError, match="it belongs to the database shop of the server 7300000000000000001"):
        claim(archive, replace(SHOP, **change))
    assert len(claims_of(archive)) == 1


class CrowdedStore(LocalStore):
    """A folder that another installation claims just before this one does."""

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Be late."""
        claim(archive_at(self.location), replace(SHOP, database="faster"))
        with super().writing(path) as sink:
            yield sink


def test_of_two_at_the_same_moment_one_steps_back(tmp_path: Path) -> None:
    """Who finds another's claim beside its own takes its own back."""
    with pytest.raises(DblogError, match="it belongs to the database faster"):
        claim(Archive(CrowdedStore(tmp_path), "dblog_logs"), SHOP)
    (left,) = claims_of(archive_at(tmp_path))
    assert '"faster"' in (tmp_path / "dblog_logs" / left).read_text(encoding="utf-8")


def test_archives_of_earlier_releases_go_on(database: Database, kept: Kept, archive: Archive) -> None:
    """Files whose manifests do not say whose they are are compared, restored and added to."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    take(kept, partition, archive, "jsonl")
    as_before(archive)
    (again,) = take(kept, partition, archive, "jsonl", thorough=True)
    assert (again.rows, again.written) == (10, 0)
    assert [file.manifest.installation for file in archive.files()] == [None]
    assert [back.restored for back in bring_back(kept, archive)] == [0]


def as_before(archive: Archive) -> None:
    """Let an archive be one of the release that knew no installations."""
    folder = Path(archive.store.location, "dblog_logs")
    (folder / claims_of(archive)[0]).unlink()
    for path in folder.glob("date=*/_*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        del document["installation"]
        path.write_text(json.dumps(document | {"manifest": 1}), encoding="utf-8")


def test_copied_days_say_whose_they_are(database: Database, another: Database, kept: Kept, archive: Archive) -> None:
    """Folders of days that were copied without the claim are still not another's to add to."""
    with database.connect() as connection, another.connect() as other:
        fill(connection, 20)
        fill(other, 20)
    take(kept, partition_of(database, 20), archive, "jsonl")
    Path(archive.store.location, "dblog_logs", claims_of(archive)[0]).unlink()
    with keeping(another.settings.database) as theirs, pytest.raises(DblogError, match="it belongs to"):
        take(theirs, partition_of(another, 20), archive, "jsonl")
    take(kept, partition_of(database, 20), archive, "jsonl")
    assert len(claims_of(archive)) == 1


@pytest.mark.parametrize(
    "rubbish", ["", "[]", "{}", '{"system": 7, "database": 1, "schema": [], "prefix": null}', "\0"]
)
def test_a_damaged_claim_is_named(tmp_path: Path, rubbish: str) -> None:
    """A claim that cannot be read lets nobody archive until somebody takes the archive over."""
    archive = archive_at(tmp_path)
    claim(archive, SHOP)
    (name,) = claims_of(archive)
    (tmp_path / "dblog_logs" / name).write_text(rubbish, encoding="utf-8")
    with pytest.raises(DblogError, match=rf"{name}: it does not say whose .* --take-over"):
        claim(archive, SHOP)
    take_over(archive, SHOP)
    claim(archive, SHOP)

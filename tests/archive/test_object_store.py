"""An archive in an object store, over HTTP."""

import socket

import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, drop, fill, partition_of, table_of, take
from servers import Database

from dblog.archive import archiver
from dblog.archive.formats import FormatName
from dblog.archive.surveying import survey
from dblog.cli.main import run
from dblog.errors import DblogError, UsageError
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_bucket_is_an_archive(
    database: Database, kept: Kept, bucket: str, capsys: pytest.CaptureFixture[str], form: FormatName
) -> None:
    """Rows go to a bucket, are searched there and come back identical; twice is once."""
    with database.connect() as connection:
        fill(connection, 20)
    before, partition = table_of(database), partition_of(database, 20)
    archive = archive_at(f"{bucket}/logs/")
    for written in (len(before), 0):
        assert [done.written for done in take(kept, partition, archive, form, thorough=True)] == [written]
    drop(database, partition)
    assert run(["query", "--archive", f"{bucket}/logs", "--since", "30d", "-o", "jsonl", "plain"]) == 0
    assert capsys.readouterr().out.count('"plain"') == 3
    bring_back(kept, archive)
    assert table_of(database) == before


def test_a_refusing_store_keeps_the_table(database: Database, kept: Kept, bucket: str) -> None:
    """A bucket that is not there is an error of one line; the table is untouched."""
    with database.connect() as connection:
        fill(connection, 20)
    take_to = archiver(f"{bucket}missing/logs", kept[1], "jsonl")
    before = table_of(database)
    with pytest.raises(DblogError, match=r"archive s3://.*missing/logs/dblog_logs: .*bucket") as raised:
        take_to(kept[0], partition_of(database, 20))
    assert "\n" not in str(raised.value)
    assert table_of(database) == before


def test_what_was_left_in_a_bucket_is_replaced(database: Database, kept: Kept, bucket: str) -> None:
    """An object without a manifest, as a killed run leaves it, is gone after the next run; one that was whole stays."""
    with database.connect() as connection:
        fill(connection, 20)
    partition, archive = partition_of(database, 20), archive_at(bucket)
    (done,) = take(kept, partition, archive, "jsonl")
    folder = f"dblog_logs/date={done.day}"
    for name in (f"{partition}-2.parquet", f"_{partition}-2.parquet.begun", f"{partition}-3.parquet"):
        with archive.store.writing(f"{folder}/{name}") as sink:
            sink.write(b"half of it")
    take(kept, partition, archive, "parquet")
    assert [len(archive.store.names(folder)), len(archive.files())] == [3, 1]
    assert survey(archive).lost == [f"{folder}/{partition}-3.parquet"]


def test_a_store_without_the_archive_is_told_from_one_that_is_away(
    bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prefix or a bucket that is mistyped ends `--verify` with 1, a store that does not answer with 3."""
    for place in (f"{bucket}/mistyped", f"{bucket}mistyped/logs"):
        assert run(["archive", "--verify", place]) == 1
        assert f"archive {place}/dblog_logs: nothing is there" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert run(["archive", "--verify", bucket]) == 3
    assert capsys.readouterr().err.startswith(f"dblog: error: archive {bucket}/dblog_logs: ")


@pytest.mark.parametrize("location", ["s3://", "gs://bucket", "", "https://host/bucket"])
def test_an_address_of_another_kind_is_refused(location: str) -> None:
    """What is neither a directory nor a bucket of S3 is a mistake that says what is accepted."""
    with pytest.raises(UsageError, match=r"accepted: .*s3://bucket/prefix"):
        archive_at(location)

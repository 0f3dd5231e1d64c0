"""Connections of the keeping side, a folder for an archive, and an object store."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa
from archived import archive_at
from buckets import object_store
from servers import Database

from dblog.archive.catalog import Archive
from dblog.store.engine import keeping
from dblog.store.names import Names


@pytest.fixture
def kept(database: Database) -> Iterator[tuple[sa.Connection, Names]]:
    """A connection of the keeping side to a migrated database."""
    with keeping(database.settings.database) as (connection, names):
        yield connection, names


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive in a folder that is not there yet."""
    return archive_at(tmp_path / "archive")


@pytest.fixture(scope="session")
def store_address() -> Iterator[str]:
    """The address of an object store that speaks S3 over HTTP."""
    with object_store() as address:
        yield address


@pytest.fixture
def bucket(store_address: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty bucket, as `s3://name`, for which the environment has credentials."""
    name = f"b{abs(hash(request.node.nodeid)):x}"
    with urlopen(Request(f"{store_address}/{name}", method="PUT")):  # noqa: S310 - the address is of a server here
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", store_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return f"s3://{name}"

"""A server whose disk is full: records wait, and arrive when there is room again."""

import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from application import Application
from delivered import migrate
from disks import fill, small_disk
from eventually import eventually
from psycopg import sql

from dblog.binaries import give, ordinary_account
from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]


def test_a_tablespace_without_room(private_server: EmbeddedServer, start: Start) -> None:
    """When the disk of the table is full the outage says so; what was logged meanwhile arrives after the clean-up."""
    dsn = private_server.dsn()
    migrate(dsn)
    with small_disk(private_server.home / "disk", 4) as disk:
        space = disk / "space"
        space.mkdir()
        give(space, ordinary_account())
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(space)))
            partition = sql.Identifier(f"dblog_logs_p{datetime.now(UTC):%Y%m%d}")
            owner.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE small").format(partition))
        application = start(dsn).log()
        assert application.handler.flush(30)
        ballast = fill(disk)
        application.log(1000)  # which is more than fits into the pages that the table has
        application.await_outage("the server's disk is full (SQLSTATE 53100)")
        ballast.unlink()
        application.log().await_recovery()
        application.check(dsn)
        private_server.stop()


@pytest.mark.torture
def test_a_server_without_room_for_its_log(
    private_server: EmbeddedServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that gave up because its whole disk was full is restarted after the clean-up, and nothing is missing."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as short,  # a socket's path must not be long
        small_disk(Path(short) / "disk", 160) as disk,
    ):
        Path(short).chmod(0o755)
        disk.chmod(0o777)
        crowded = EmbeddedServer((private_server.home / "bin").resolve(), durable=False)
        with closing(crowded):
            with monkeypatch.context() as patch:
                patch.setattr(tempfile, "tempdir", str(disk))
                crowded.start()
            assert crowded.home.is_relative_to(disk)
            migrate(crowded.dsn())
            application = start(crowded.dsn(), query_timeout=2, connect_timeout=2).log()
            assert application.handler.flush(30)
            ballast = fill(disk)

            def log_on() -> bool:
                application.log(1000).handler.flush(0.05)
                return application.handler.stats().failures >= 3

            eventually(log_on, "the full disk to be felt", timeout=60)
            ballast.unlink()
            crowded.restart()
            application.log().await_recovery()
            application.check(crowded.dsn())

"""`logging.file` in `config.yml`: the front door attaches the file, closes it, and refuses what cannot work."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from disks import small_disk
from servers import Database

import dblog


@pytest.fixture(autouse=True)
def shut_down() -> Iterator[None]:
    """Take down what a test set up."""
    yield
    dblog.shutdown_logging(1.0)


def config(file: Mapping[str, object], **logging_settings: object) -> dict[str, object]:
    """A configuration with a file and nothing else."""
    quiet = {"console": {"enabled": False}, "database": {"enabled": False}}
    return {"logging": {**quiet, **logging_settings, "file": {"enabled": True, **file}}}


def test_a_file_alone_needs_no_database(tmp_path: Path) -> None:
    """With the database off, lines of the configured format are in the file as soon as the call returns."""
    path = tmp_path / "deep" / "app.log"
    assert dblog.initialize_logger(config({"path": str(path), "level": "INFO", "text_format": "%(name)s %(message)s"}))
    dblog.get_logger("shop").debug("below the level")
    dblog.get_logger("shop").info("first\nsecond")
    assert path.read_text() == "shop first\nsecond\n"
    assert dblog.shutdown_logging()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o640, 0o750)


def test_a_record_can_be_one_line(tmp_path: Path) -> None:
    """With `escape` what somebody logs cannot forge a line."""
    path = tmp_path / "app.log"
    assert dblog.initialize_logger(config({"path": str(path), "escape": True, "text_format": "%(message)s"}))
    logging.getLogger("shop").info("first\nsecond")
    assert path.read_text() == "first\\nsecond\n"


def test_json_lines_know_the_service_and_keep_its_secrets(tmp_path: Path) -> None:
    """With `format: json` the service is in each line, and keys are masked as in the database."""
    path = tmp_path / "app.jsonl"
    masks = {"database": {"enabled": False, "mask_keys": ["iban"]}}
    assert dblog.initialize_logger(config({"path": str(path), "format": "json"}, service="web", **masks))
    logging.getLogger("shop").info("paid", extra={"iban": "DE00", "password": "shown"})
    line = json.loads(path.read_text())
    assert (line["service"], line["extra"]) == ("web", {"iban": "***", "password": "shown"})


def test_records_are_in_the_file_and_in_the_database(database: Database, tmp_path: Path) -> None:
    """Both handlers get every record, and shutting down brings all of it home."""
    path = tmp_path / "app.log"
    source = config({"path": str(path), "buffer_size": "64KiB", "flush_interval": 3600, "text_format": "%(message)s"})
    source["logging"].update({"database": {"enabled": True}, "level": "INFO"})  # type: ignore[attr-defined] # or psycopg's, too
    manager = dblog.LoggerManager()
    assert manager.initialize({**source, "database": {"dsn": database.dsn}})
    handler = manager.file_handler()
    assert handler is not None
    for number in range(100):
        manager.get_logger("shop").info("record %d", number)
    assert manager.shutdown(60)
    assert manager.file_handler() is None
    assert handler.metrics().lines_written == 100
    assert path.read_text().splitlines() == [f"record {number}" for number in range(100)]
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM dblog_logs").fetchone() == (100,)


def test_a_path_that_cannot_be_opened_leaves_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no file is a mistake of the configuration: it is named, nothing is half applied, the console serves."""
    assert not dblog.initialize_logger(config({"path": str(tmp_path)}, components={"shop": "ERROR"}))
    err = capfd.readouterr().err
    assert f"dblog: configuration: logging.file.path: '{tmp_path}' cannot be opened: Is a directory\n" in err
    assert logging.getLogger("shop").level == logging.NOTSET
    assert [type(handler) for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]


def test_what_the_console_has_shown_is_not_printed_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On a full disk, what the console has shown does not go to the same stream a second time."""
    with small_disk(tmp_path / "mount", 1) as folder:
        file = {"path": str(folder / "app.log"), "emergency_cleanup_threshold_mb": 0, "recovery_min_free_mb": 0}
        console = {"enabled": True, "level": "WARNING", "format": "%(message)s"}
        assert dblog.initialize_logger(config({**file, "text_format": "%(message)s"}, console=console))
        log = logging.getLogger("shop")
        for number in range(1200):
            log.info("filler %04d %s", number, "x" * 1000)
        log.info("below the console")
        log.warning("on the console")
        manager_file = (folder / "app.log").read_text()
        assert dblog.shutdown_logging()
    err = capfd.readouterr().err.splitlines()
    assert err.count("on the console") == 1
    assert err.count("below the console") + manager_file.splitlines().count("below the console") == 1

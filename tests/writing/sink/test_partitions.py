"""Partitions are made when they are missing and ahead of time; where none may be, rows get another timestamp."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from batches import NOW, batch, joined, messages, store
from servers import Database

from dblog.columns import COLUMN_NAMES
from dblog.errors import DatabaseError
from dblog.periods import PartitionBy, moments_ahead
from dblog.sinks.postgres import PostgresSink

MakeSink = Callable[..., PostgresSink]


@pytest.mark.parametrize("days", [-300, 20])
def test_missing_partitions_are_made(make_sink: MakeSink, database: Database, days: int) -> None:
    """Rows of a day without a partition, and a ledger that lacks it, too, are stored after it was made."""
    moment = NOW + timedelta(days=days)
    sink = make_sink()
    store(sink, batch(1, "other day", moment=moment, day=moment))
    store(sink, batch(2, "today"))
    assert messages(database) == ["other day", "today"]


def test_the_day_of_birth_may_be_another_than_that_of_the_rows(make_sink: MakeSink, database: Database) -> None:
    """A batch that was formed after midnight with rows from before finds its ledger partition made, in UTC."""
    sink, moment = make_sink(), datetime(NOW.year, NOW.month, NOW.day, 23, 59, tzinfo=UTC) + timedelta(days=15)
    store(sink, batch(1, "late", moment=moment, day=moment + timedelta(days=1)))
    assert messages(database) == ["late"]


@pytest.mark.parametrize("days", [-500, 900])
@pytest.mark.parametrize(
    ("extra", "kept"),
    [
        ("\\N", {}),
        ("{}", {}),
        ('{"path": "C:\\\\\\\\x", "n": 1.50}', {"path": "C:\\x", "n": 1.5}),
        ('{"original_timestamp": "-1.0"}', {"original_timestamp": "-1.0"}),
    ],
    ids=["none", "empty", "some", "again"],
)
def test_a_row_whose_time_no_partition_may_have_gets_another(
    make_sink: MakeSink, database: Database, days: int, extra: str, kept: dict[str, object]
) -> None:
    """It is stored under the server's time; `extra_data` keeps its own where the handler keeps unbelievable ones."""
    far = NOW + timedelta(days=days)
    mixed = joined(batch(1, "good"), batch(1, "far", moment=far, fields={"extra_data": extra}), batch(1, "last"))
    assert store(make_sink(), mixed) == []
    assert messages(database) == ["good", "far", "last"]
    with database.connect() as connection:
        row = connection.execute(
            "SELECT extra_data, abs(extract(epoch FROM now() - l.timestamp)) < 60, time_from <= l.timestamp, "
            "greatest(time_to, now()) - least(time_from, now()) < '2 days' "
            "FROM dblog_logs l JOIN dblog_batches USING (writer_id, batch_seq) WHERE message = 'far'"
        ).fetchone()
    assert row == ({"original_timestamp": repr(far.timestamp())} | kept, True, True, True)


def test_a_time_that_is_none_is_refused(make_sink: MakeSink, database: Database) -> None:
    """What is no time at all cannot be kept as one: the row is set aside, beside one that gets another time."""
    none = batch(1, "none", fields={"timestamp": "2026-02-30 00:00:00.000000+00"})
    rejected = store(make_sink(), joined(batch(1, "far", moment=NOW + timedelta(days=900)), none))
    assert messages(database) == ["far"]
    assert [each.row for each in rejected] == [none.payload]


def test_a_frame_of_another_release_is_stamped_by_its_own_columns(make_sink: MakeSink, database: Database) -> None:
    """Where the fields are is what the batch says, not this release."""
    columns = ("message", "extra_data", *COLUMN_NAMES[:12])
    far = NOW - timedelta(days=500)
    assert store(make_sink(), batch(1, "far", moment=far, columns=columns)) == []
    with database.connect() as connection:
        found = connection.execute("SELECT message, extra_data FROM dblog_logs").fetchall()
    assert found == [("far", {"original_timestamp": repr(far.timestamp())})]


def test_a_birth_that_the_ledger_cannot_hold_is_named(make_sink: MakeSink) -> None:
    """A batch that was formed in 1970, by the clock of its host, is an error that says so."""
    with pytest.raises(DatabaseError, match=r"formed on 1970-01-01.*a clock is wrong"):
        store(make_sink(), batch(1, "reset", day=datetime(1970, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
def test_partitions_are_made_ahead(make_sink: MakeSink, database: Database, granularity: PartitionBy) -> None:
    """Looking ahead makes the partitions of the periods to come, as the database has them, and those of the ledger."""
    with database.connect() as connection:
        connection.execute("UPDATE dblog_settings SET value = %s WHERE name = 'partition_by'", [granularity])
        before = datetime.now(UTC)
        make_sink(partitions_ahead=12).keep_ahead()
        for moment in moments_ahead(granularity, 12, before):
            name = f"dblog_batches_p{moment:%Y%m%d}"
            assert connection.execute("SELECT to_regclass(%s)", [name]).fetchone() != (None,)
        row = batch(1, "far", moment=moments_ahead(granularity, 12, before)[-1])
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
            "VALUES (gen_random_uuid(), 1, %s, 20, 'INFO', 'app', 'host', 'ahead')",
            [row.time_to],
        )

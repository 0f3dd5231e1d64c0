"""A batch becomes rows and a line of the ledger, once; what PostgreSQL refuses is set aside, the rest stored."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import LOG_COLUMNS
from dblog.errors import NotMigrated
from dblog.periods import PartitionBy, offsets_ahead
from dblog.sinks.postgres import PostgresSink

MakeSink = Callable[..., PostgresSink]
WRITER = "0123456789abcdef0123456789abcdef"
NOW = datetime.now(UTC).replace(hour=12)


@pytest.fixture
def make_sink(database: Database) -> Iterator[MakeSink]:
    """A function that makes sinks for the test's database."""
    made: list[PostgresSink] = []

    def make(**values: Any) -> PostgresSink:
        chosen: dict[str, Any] = {
            "conninfo": database.dsn,
            "schema": None,
            "table_prefix": "dblog",
            "service": "shop's",
            "hostname": "web-1",
            "process_id": 42,
            "connect_timeout": 5.0,
            "query_timeout": 10.0,
            "partitions_ahead": 2,
        }
        made.append(PostgresSink(**{**chosen, **values}))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def batch(
    seq: int, *messages: str, moment: datetime = NOW, day: datetime | None = None, fields: dict[str, str] | None = None
) -> Batch:
    """A batch of INFO rows with these messages; a message may bring its own time in front of a `|`."""
    rows = []
    for message in messages:
        values = {
            "timestamp": f"{moment:%Y-%m-%d %H:%M:%S.%f}+00",
            "level_no": "20",
            "level": "INFO",
            "logger_name": "app",
        }
        values |= {
            "writer_id": WRITER,
            "batch_seq": str(seq),
            "hostname": "web-1",
            "message": message,
            **(fields or {}),
        }
        rows.append("\t".join(values.get(column.name, "\\N") for column in LOG_COLUMNS) + "\n")
    stamp = f"{moment:%Y-%m-%d %H:%M:%S.%f}+00"
    return Batch(
        key=BatchKey(f"{day or NOW:%Y-%m-%d}", WRITER, seq),
        payload="".join(rows).encode(),
        levels={20: len(rows)},
        time_from=stamp if rows else None,
        time_to=stamp if rows else None,
        accepted=len(rows),
        closing=not rows,
    )


def messages(database: Database) -> list[str]:
    """The messages in the table, in the order of their arrival."""
    with database.connect() as connection:
        return [row[0] for row in connection.execute("SELECT message FROM dblog_logs ORDER BY id")]


def ledger(database: Database) -> list[tuple[Any, ...]]:
    """The ledger: number, rows stored, rows rejected, closing."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT batch_seq, rows_stored, rows_rejected, closing FROM dblog_batches ORDER BY batch_seq"
        ).fetchall()


def test_a_batch_is_rows_and_a_line_of_the_ledger(make_sink: MakeSink, database: Database) -> None:
    """The rows and their ledger row appear together, with the figures that `dblog verify` needs."""
    sink, rejected = make_sink(), list[Rejected]()
    sink.store(batch(1, "one", "two"), rejected)
    sink.store(batch(2), rejected)
    assert messages(database) == ["one", "two"]
    assert ledger(database) == [(1, 2, 0, False), (2, 0, 0, True)]
    with database.connect() as connection:
        row = connection.execute(
            "SELECT writer_id::text, service, hostname, process_id, accepted, time_from, time_to, birth_day "
            "FROM dblog_batches WHERE batch_seq = 1"
        ).fetchone()
    assert row is not None
    assert (row[0].replace("-", ""), *row[1:5]) == (WRITER, "shop's", "web-1", 42, 2)
    assert row[5] == row[6] == NOW
    assert row[7] == NOW.date()
    assert rejected == []


def test_a_batch_is_stored_once(make_sink: MakeSink, database: Database) -> None:
    """Sending a batch again, on the same or another connection, changes nothing and is no error."""
    first, second = make_sink(), make_sink()
    for sink in (first, first, second):
        sink.store(batch(1, "once"), [])
        sink.store(batch(2), [])
    assert messages(database) == ["once"]
    assert len(ledger(database)) == 2


@pytest.mark.parametrize("bad", [[0], [499], [3, 250], [1, 2, 3, 4]], ids=str)
def test_bad_rows_are_set_aside_and_the_others_stored(make_sink: MakeSink, database: Database, bad: list[int]) -> None:
    """Of 500 rows those that a constraint refuses come back with the reason; all others are stored, in order."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT no_bad CHECK (message NOT LIKE 'bad%')")
    texts = [f"{'bad' if number in bad else 'good'} {number}" for number in range(500)]
    rejected: list[Rejected] = []
    sink = make_sink()
    sink.store(batch(1, *texts), rejected)
    sink.store(batch(1, *texts), [])
    assert messages(database) == [text for text in texts if text.startswith("good")]
    assert [each.row.rpartition(b"\t")[2].decode() for each in rejected] == [f"bad {number}\n" for number in bad]
    assert {each.reason for each in rejected} == {"a constraint refused a row (SQLSTATE 23514)"}
    assert ledger(database) == [(1, 500 - len(bad), len(bad), False)]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"lineno": "not a number"}, "22P02"),
        ({"process_id": "99999999999"}, "22003"),
        ({"extra_data": "{broken"}, "22P02"),
        ({"logger_name": "\\N"}, "23502"),
        ({"timestamp": "2026-02-30 00:00:00.000000+00"}, "22008"),
        ({"message": "\\x00"}, "22021"),
        ({"extra": "a\tb"}, "22P04"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_every_kind_of_bad_row_is_known(
    make_sink: MakeSink, database: Database, row: dict[str, str], code: str
) -> None:
    """Whatever is wrong with a row, it costs that row alone, and the reason names the SQLSTATE and nothing of it."""
    columns = {name: value for name, value in row.items() if name != "extra"}
    bad = batch(1, f"bad\t{row['extra']}" if "extra" in row else "bad", fields=columns)
    good = batch(1, "before", "after")
    before, after = good.payload.splitlines(keepends=True)
    mixed = Batch(good.key, before + bad.payload + after, {20: 3}, good.time_from, good.time_to, 3)
    rejected: list[Rejected] = []
    make_sink().store(mixed, rejected)
    assert messages(database) == ["before", "after"]
    assert [each.row for each in rejected] == [bad.payload]
    assert f"(SQLSTATE {code})" in rejected[0].reason


def test_a_second_try_knows_what_the_first_refused(make_sink: MakeSink, database: Database) -> None:
    """A batch that is sent again, since the answer to its COMMIT was lost, still says which rows were refused."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT polite CHECK (message <> 'rude')")
    sink = make_sink()
    sink.store(batch(1, "good", "rude"), [])
    again: list[Rejected] = []
    sink.store(batch(1, "good", "rude"), again)
    assert [each.row.split(b"\t")[-1] for each in again] == [b"rude\n"]


def test_a_trigger_may_refuse_a_row(make_sink: MakeSink, database: Database) -> None:
    """What a trigger of the operator raises sets the row aside as a constraint does."""
    with database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF new.message = 'bad' THEN RAISE 'secret row data'; END IF; RETURN new; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON dblog_logs FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    rejected: list[Rejected] = []
    make_sink().store(batch(1, "good", "bad"), rejected)
    assert messages(database) == ["good"]
    assert [each.reason for each in rejected] == ["refused (SQLSTATE P0001)"]


@pytest.mark.parametrize("days", [-300, 20])
def test_missing_partitions_are_made(make_sink: MakeSink, database: Database, days: int) -> None:
    """Rows of a day without a partition, and a ledger that lacks it, too, are stored after it was made."""
    moment = NOW + timedelta(days=days)
    sink = make_sink()
    sink.store(batch(1, "other day", moment=moment, day=moment), [])
    sink.store(batch(2, "today"), [])
    assert messages(database) == ["other day", "today"]


def test_the_day_of_birth_may_be_another_than_that_of_the_rows(make_sink: MakeSink, database: Database) -> None:
    """A batch that was formed after midnight with rows from before finds its ledger partition made, in UTC."""
    sink, moment = make_sink(), datetime(NOW.year, NOW.month, NOW.day, 23, 59, tzinfo=UTC) + timedelta(days=15)
    sink.store(batch(1, "late", moment=moment, day=moment + timedelta(days=1)), [])
    assert messages(database) == ["late"]


def test_a_time_without_any_partition_sets_the_row_aside(make_sink: MakeSink, database: Database) -> None:
    """A row for which no partition may be made costs itself, not the batch."""
    far = NOW + timedelta(days=900)
    good, bad = batch(1, "good"), batch(1, "far", moment=far)
    rejected: list[Rejected] = []
    mixed = Batch(good.key, good.payload + bad.payload, {20: 2}, good.time_from, bad.time_to, 2)
    make_sink().store(mixed, rejected)
    assert messages(database) == ["good"]
    assert [each.row for each in rejected] == [bad.payload]


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
def test_partitions_are_made_ahead(make_sink: MakeSink, database: Database, granularity: PartitionBy) -> None:
    """Looking ahead makes the partitions of the periods to come, as the database has them, and those of the ledger."""
    with database.connect() as connection:
        connection.execute("UPDATE dblog_settings SET value = %s WHERE name = 'partition_by'", [granularity])
        make_sink(partitions_ahead=12).keep_ahead()
        for offset in offsets_ahead(granularity, 12):
            day = (datetime.now(UTC) + offset).date()
            ledger = connection.execute("SELECT to_regclass(%s)", [f"dblog_batches_p{day:%Y%m%d}"]).fetchone()
            assert ledger != (None,)
        row = batch(1, "far", moment=datetime.now(UTC) + offsets_ahead(granularity, 12)[-1])
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
            "VALUES (gen_random_uuid(), 1, %s, 20, 'INFO', 'app', 'host', 'ahead')",
            [row.time_to],
        )


def test_a_lost_connection_is_replaced(make_sink: MakeSink, database: Database) -> None:
    """A connection that died while nobody looked costs no attempt."""
    sink = make_sink()
    sink.store(batch(1, "one"), [])
    with database.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'dblog'"
        )
    sink.store(batch(2, "two"), [])
    assert messages(database) == ["one", "two"]


def test_after_a_failure_the_same_batch_can_be_stored(make_sink: MakeSink, database: Database) -> None:
    """An attempt that a lock held up leaves nothing behind, and the next one succeeds on the same connection."""
    sink = make_sink(query_timeout=0.3)
    sink.store(batch(1, "one"), [])
    with database.connect() as other, other.transaction():
        other.execute("LOCK TABLE dblog_logs")
        with pytest.raises((psycopg.errors.QueryCanceled, TimeoutError)):
            sink.store(batch(2, "two"), [])
    sink.store(batch(2, "two"), [])
    assert messages(database) == ["one", "two"]


def test_missing_tables_are_named_with_their_remedy(empty_database: Database, make_sink: MakeSink) -> None:
    """Without tables, and without the right to make them, the error says what to run."""
    with pytest.raises(NotMigrated, match="`dblog init`"):
        make_sink(conninfo=empty_database.dsn).store(batch(1, "one"), [])


def test_inserting_is_all_a_writer_needs(make_sink: MakeSink, database: Database) -> None:
    """A role with INSERT on both tables and the function for partitions delivers, sets aside and makes partitions."""
    role = f"writer_{time.monotonic_ns()}"
    with database.connect() as owner:
        run = sql.SQL("CREATE ROLE {0} LOGIN PASSWORD 'pw'").format(sql.Identifier(role))
        owner.execute(run)
        try:
            owner.execute(sql.SQL("GRANT INSERT ON dblog_logs, dblog_batches TO {}").format(sql.Identifier(role)))
            owner.execute(sql.SQL("GRANT EXECUTE ON FUNCTION dblog_make_partition TO {}").format(sql.Identifier(role)))
            rejected: list[Rejected] = []
            sink = make_sink(conninfo=make_conninfo(database.dsn, user=role, password="pw"))
            sink.store(batch(1, "one"), rejected)
            sink.store(batch(1, "one"), rejected)
            sink.store(batch(2, "two", moment=NOW + timedelta(days=25)), rejected)
            sink.store(batch(3, "bad", fields={"lineno": "x"}), rejected)
            sink.close()
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))
    assert messages(database) == ["one", "two"]
    assert len(rejected) == 1


def test_another_schema_and_prefix(database: Database, make_sink: MakeSink) -> None:
    """Names that need quoting, and a prefix beside another one, are written to as they are."""
    from dblog.store.migrate import prepare

    def make_tables(connection: psycopg.Connection) -> None:
        prepare(
            connection,
            schema='We "ird',
            table_prefix="app",
            partition_by="month",
            indexes="minimal",
            partitions_ahead=1,
        )

    make_sink(schema='We "ird', table_prefix="app", prepare=make_tables).store(batch(1, "weird"), [])
    with database.connect() as connection:
        found = connection.execute('SELECT message FROM "We ""ird".app_logs').fetchall()
    assert found == [("weird",)]
    assert messages(database) == []

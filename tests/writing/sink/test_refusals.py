"""What PostgreSQL refuses is set aside with the reason, before the rest is committed."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg
import pytest
from batches import NOW, batch, joined, ledger, messages, store
from proxies import Proxy, keep_answer_to_commit, let_pass, port_of
from psycopg.conninfo import make_conninfo
from servers import Database

from dblog.batch import Batch, Rejected
from dblog.sinks.postgres import PostgresSink

MakeSink = Callable[..., PostgresSink]


@pytest.mark.parametrize("bad", [[0], [499], [3, 250], [1, 2, 3, 4]], ids=str)
def test_bad_rows_are_set_aside_and_the_others_stored(make_sink: MakeSink, database: Database, bad: list[int]) -> None:
    """Of 500 rows those that a constraint refuses come back with the reason; all others are stored, in order."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT no_bad CHECK (message NOT LIKE 'bad%')")
    texts = [f"{'bad' if number in bad else 'good'} {number}" for number in range(500)]
    sink = make_sink()
    rejected = store(sink, batch(1, *texts))
    store(sink, batch(1, *texts))
    assert messages(database) == [text for text in texts if text.startswith("good")]
    assert [each.row.rpartition(b"\t")[2].decode() for each in rejected] == [f"bad {number}\n" for number in bad]
    where = f"constraint no_bad, table dblog_logs_p{NOW:%Y%m%d}"
    assert {each.reason for each in rejected} == {f"a constraint refused a row (SQLSTATE 23514): {where}"}
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
    rejected = store(make_sink(), joined(batch(1, "before"), bad, batch(1, "after")))
    assert messages(database) == ["before", "after"]
    assert [each.row for each in rejected] == [bad.payload]
    assert f"(SQLSTATE {code})" in rejected[0].reason


def test_a_second_try_knows_what_the_first_refused(make_sink: MakeSink, database: Database) -> None:
    """A batch whose COMMIT had no answer still says which rows were refused, whatever was stored in between."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT polite CHECK (message <> 'rude')")
    with Proxy(port_of(database.dsn), keep_answer_to_commit) as proxy:
        sink = make_sink(make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port))
        for seq in (1, 2):
            with pytest.raises(psycopg.OperationalError):
                store(sink, batch(seq, f"good {seq}", "rude"))
        proxy.rule = let_pass
        refused = [store(sink, batch(seq, f"good {seq}", "rude")) for seq in (3, 1, 2)]
        sink.close()
    assert [[each.row.split(b"\t")[-1] for each in rows] for rows in refused] == [[b"rude\n"]] * 3
    assert messages(database) == ["good 1", "good 2", "good 3"]


def test_a_deferred_constraint_costs_only_the_row_that_breaks_it(make_sink: MakeSink, database: Database) -> None:
    """What the operator's tables check at COMMIT only is checked before, so that the row can be found."""
    with database.connect() as connection:
        connection.execute(
            "CREATE TABLE known (name text PRIMARY KEY); INSERT INTO known VALUES ('app');"
            "ALTER TABLE dblog_logs ADD CONSTRAINT known_logger FOREIGN KEY (logger_name) REFERENCES known "
            "DEFERRABLE INITIALLY DEFERRED"
        )
    given = joined(batch(1, "before"), batch(1, "bad", fields={"logger_name": "other"}), batch(1, "after"))
    (refused,) = store(make_sink(), given)
    assert messages(database) == ["before", "after"]
    assert "constraint known_logger" in refused.reason


@pytest.mark.parametrize(
    ("raising", "reason"),
    [
        ("'secret row data'", "a trigger refused a row (SQLSTATE P0001)"),
        ("'secret row data' USING ERRCODE = 'MY001'", "refused (SQLSTATE MY001)"),
        (
            "'secret' USING ERRCODE = 'not_null_violation'",
            "a constraint refused a row (SQLSTATE 23502)",
        ),
    ],
    ids=["plain", "own", "borrowed"],
)
def test_a_trigger_may_refuse_a_row(make_sink: MakeSink, database: Database, raising: str, reason: str) -> None:
    """What a trigger of the operator raises, under whatever SQLSTATE, sets the row aside as a constraint does."""
    with database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF new.message = 'bad' THEN RAISE {raising}; END IF; RETURN new; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON dblog_logs FOR EACH ROW EXECUTE FUNCTION refuse()".encode()
        )
    rejected = store(make_sink(), batch(1, "good", "bad"))
    assert messages(database) == ["good"]
    assert [each.reason.partition(": ")[0] for each in rejected] == [reason]


def test_the_reason_names_the_column(make_sink: MakeSink, database: Database) -> None:
    """A row without a value for a column that needs one is set aside with the name of the column."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ALTER COLUMN service SET NOT NULL")
    (refused,) = store(make_sink(), batch(1, "no service"))
    assert "column service" in refused.reason


def test_refused_rows_are_set_aside_before_the_commit(make_sink: MakeSink, database: Database) -> None:
    """Whoever keeps refused rows is told them while nothing of the batch can be seen yet; without any, not at all."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT polite CHECK (message <> 'rude')")
    told: list[tuple[int, list[bytes], list[str]]] = []

    def keep(kept: Batch, refused: Sequence[Rejected]) -> None:
        told.append((kept.key.seq, [each.row.split(b"\t")[-1] for each in refused], messages(database)))

    sink = make_sink()
    sink.store(batch(1, "good", "rude"), [], keep)
    sink.store(batch(2, "fine"), [], keep)
    assert told == [(1, [b"rude\n"], [])]
    assert messages(database) == ["good", "fine"]


def test_a_missing_partition_beside_a_bad_row_is_made(make_sink: MakeSink, database: Database) -> None:
    """A bad row in front does not cost the row behind it, whose partition has to be made."""
    bad, other_day = batch(1, "bad", fields={"lineno": "x"}), batch(1, "other day", moment=NOW + timedelta(days=20))
    rejected = store(make_sink(), joined(batch(1, "good"), bad, other_day))
    assert messages(database) == ["good", "other day"]
    assert [each.row for each in rejected] == [bad.payload]


def test_a_batch_of_which_a_copy_had_less_is_not_taken_for_stored(make_sink: MakeSink, database: Database) -> None:
    """Where the ledger has the first rows of a batch only, the others are set aside; what it has more is no matter."""
    sink, kept = make_sink(), list[Rejected]()
    store(sink, batch(1, "one", "two"))
    rejected: list[Rejected] = []
    assert not sink.store(batch(1, "one", "two", "three"), rejected, lambda _batch, refused: kept.extend(refused))
    assert [each.row.rpartition(b"\t")[2] for each in kept] == [b"three\n"]
    assert kept == rejected
    assert store(sink, batch(1, "one")) == []
    assert messages(database) == ["one", "two"]


def test_a_role_that_may_only_insert_believes_the_ledger(make_sink: MakeSink, database: Database, writer: str) -> None:
    """Without the right to read the ledger, a batch that it knows counts as stored."""
    sink = make_sink(writer)
    store(sink, batch(1, "one"))
    assert store(sink, batch(1, "one", "two")) == []
    assert messages(database) == ["one"]

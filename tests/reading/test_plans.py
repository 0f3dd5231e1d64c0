"""What a question touches: the right index, no partition that it need not open, no more buffers as the table grows."""

from datetime import UTC, datetime, timedelta

import psycopg
import sqlalchemy as sa
from eventually import eventually
from plans import Node, buffers, nodes, plans_of
from servers import Database

from dblog.reading.filters import parse
from dblog.reading.query import Query, records
from dblog.reading.summary import summarize
from dblog.reading.window import Window
from dblog.store.names import Names
from dblog.store.schema import logs_table

MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 10
MONTH = Window(MIDNIGHT - timedelta(days=30), MIDNIGHT + timedelta(days=31))
YESTERDAY = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)


def settle(connection: psycopg.Connection, count: int) -> None:
    """Fill the last days with that many records of 50 loggers, and leave them as autovacuum does.

    One record in ten is a warning or an error, one in forty an error, and one in ten has a trace. Each is several
    times as large as its entry in an index, as real ones are: PostgreSQL would else rather read the table.
    """
    connection.execute(
        "SELECT dblog_make_partition(%s - day * interval '1 day') FROM generate_series(1, %s) AS day", [MIDNIGHT, DAYS]
    )
    connection.execute(
        "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message, "
        "trace_id) SELECT gen_random_uuid(), 1, %s + i * %s, kind.number, kind.name, 'app.' || i * 7 %% 50, 'web-1', "
        "rpad('row ' || i, 200), CASE WHEN i %% 10 = 3 THEN md5((i / 100)::text) END "
        "FROM generate_series(0, %s - 1) AS i, LATERAL (SELECT hashint4(i) & 1023 AS lot) AS drawn, "
        "LATERAL (SELECT CASE WHEN lot < 26 THEN 40 WHEN lot < 102 THEN 30 ELSE 20 END AS number, "
        "CASE WHEN lot < 26 THEN 'ERROR' WHEN lot < 102 THEN 'WARNING' ELSE 'INFO' END AS name) AS kind",
        [MIDNIGHT - timedelta(days=DAYS), timedelta(days=DAYS) / count, count],
    )
    eventually(lambda: is_all_visible(connection), "a VACUUM that no older snapshot holds back")


def is_all_visible(connection: psycopg.Connection) -> bool:
    """VACUUM; true if each page is now known to be visible to all, which an ANALYZE by autovacuum may delay."""
    connection.execute("VACUUM (ANALYZE) dblog_logs")
    pages = "SELECT sum(relpages), sum(relallvisible) FROM pg_class JOIN pg_inherits ON inhrelid = oid"
    total, visible = connection.execute(f"{pages} WHERE inhparent = 'dblog_logs'::regclass").fetchone() or (None, 0)
    return bool(total == visible)


def plans(database: Database, text: str, window: Window = MONTH, limit: int = 20) -> list[Node]:
    """The plans of a query."""
    query = Query(parse(text), window, limit)

    def ask(connection: sa.Connection, names: Names) -> object:
        return list(records(connection, logs_table(names), query))

    return plans_of(database, ask)


def indexes(found: list[Node]) -> set[str]:
    """The indexes that were searched, without their partitions."""
    return {
        name.partition("_p20")[2][7:] for plan in found for node in nodes(plan) if (name := node.get("Index Name", ""))
    }


def opened(found: list[Node]) -> set[str]:
    """The partitions that the plans have, executed or not."""

    def relations(node: Node) -> set[str]:
        below = (relations(child) for child in node.get("Plans", []))
        return {node["Relation Name"]} | set().union(*below) if "Relation Name" in node else set().union(*below)

    return {name for plan in found for name in relations(plan) if name.startswith("dblog_logs_p")}


def test_the_newest_are_found_without_opening_old_partitions(database: Database) -> None:
    """With a month asked for, the newest 20 come from yesterday's partition; those before it are not even planned."""
    with database.connect() as connection:
        settle(connection, 5_000)
    found = plans(database, "")
    old = {f"dblog_logs_p{MIDNIGHT - timedelta(days=back):%Y%m%d}" for back in range(2, DAYS + 1)}
    assert f"dblog_logs_p{MIDNIGHT - timedelta(days=1):%Y%m%d}" in opened(found)
    assert not old & opened(found)


SERVED = {
    "": "pkey",
    "level>=error": "timestamp_level_no_idx",
    "logger:app.3": "logger_name_timestamp_idx",
    "logger:app.3 level>=error": "logger_name_timestamp_level_no_idx",
}
"""Which index finds the newest records that a filter selects."""


def test_the_newest_touch_as_much_however_many_there_are(database: Database) -> None:
    """The newest 20 of each kind come from an index and touch at most twice the buffers at ten times the records."""
    with database.connect() as connection:
        settle(connection, 20_000)
        few = {text: buffers(plans(database, text)) for text in SERVED}
        connection.execute("TRUNCATE dblog_logs")
        settle(connection, 200_000)
    for text, index in SERVED.items():
        found = plans(database, text)
        assert index in indexes(found), text
        assert buffers(found) <= 2 * few[text], text


def test_a_trace_is_looked_up(database: Database) -> None:
    """One trace of a day comes from the index of traces."""
    with database.connect() as connection:
        settle(connection, 20_000)
        trace = connection.execute("SELECT max(trace_id) FROM dblog_logs").fetchone()
    assert trace is not None
    assert "trace_id_idx" in indexes(plans(database, f"trace:{trace[0]}", YESTERDAY))


def test_figures_of_a_day_come_from_indexes_alone(database: Database) -> None:
    """Levels and hours are counted in the primary key, loggers in their index: no record is read for it."""
    with database.connect() as connection:
        settle(connection, 50_000)
    query = Query(parse(""), YESTERDAY, 0)
    levels, numbers, loggers = plans_of(database, lambda connection, names: summarize(connection, names, query, top=5))
    for plan, index in ((levels, "pkey"), (loggers, "logger_name_timestamp_idx")):
        scans = [node for node in nodes(plan) if node["Node Type"].endswith(("Scan", "Scan on"))]
        assert {node["Node Type"] for node in scans} == {"Index Only Scan"}
        assert indexes([plan]) == {index}
    assert buffers([numbers]) < 50

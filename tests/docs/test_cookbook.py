"""The SQL cookbook: every query runs as a role that may only read, finds something, and has the plan that it claims."""

import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from documents import DOCS, Block, blocks_of
from psycopg import sql
from servers import Databases
from shop import write_logs

COOKBOOK = DOCS / "cookbook.md"
QUERIES = [block for block in blocks_of(COOKBOOK) if block.language == "sql"]
OLD = timedelta(days=15)
"""No query of the cookbook that claims to prune may open a partition that ended so long ago."""


@pytest.fixture(scope="module")
def reader(databases: Databases, todays_template: Callable[[], str]) -> Iterator[psycopg.Connection]:
    """A connection of a role that has SELECT on the two tables and nothing else, to a database full of records."""
    role = f"dblog_reader_{secrets.token_hex(4)}"
    with databases.new(todays_template()) as database, database.connect() as owner:
        written = write_logs(database.dsn)
        owner.execute("ANALYZE dblog_logs, dblog_batches")
        assert owner.execute("SELECT count(*) FROM dblog_logs").fetchone() == (written,)
        owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        owner.execute(sql.SQL("GRANT SELECT ON dblog_logs, dblog_batches TO {}").format(sql.Identifier(role)))
        try:
            with database.connect() as connection:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
                yield connection
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.parametrize("block", QUERIES, ids=str)
def test_query_finds_something(block: Block, reader: psycopg.Connection) -> None:
    """The query runs as it stands, and with a shop's records in the table its answer is not empty."""
    answer = reader.execute(block.text.encode())
    if block.text.startswith("SET "):
        return
    rows = answer.fetchall()
    assert rows, "the query finds nothing among the records of tests/shop.py"
    assert any(value is not None for row in rows for value in row)


@pytest.mark.parametrize("block", [block for block in QUERIES if "prunes" in block.all_marks("plan")], ids=str)
def test_query_prunes(block: Block, reader: psycopg.Connection) -> None:
    """The plan opens no partition that ended weeks ago, while there are such partitions."""
    old = old_partitions(reader)
    assert len(old) >= 3
    opened = {node["Relation Name"] for node in plan_of(reader, block.text) if "Relation Name" in node}
    assert opened, "the plan reads no table at all"
    assert not opened & old


@pytest.mark.parametrize("block", [block for block in QUERIES if "index" in str(block.marks)], ids=str)
def test_query_uses_the_index(block: Block, reader: psycopg.Connection) -> None:
    """The plan reads the partitions of a full day by the index that the cookbook names."""
    wanted = {mark.removeprefix("index ") for mark in block.all_marks("plan") if mark.startswith("index ")}
    inherits = reader.execute("SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits")
    parents: dict[str, str] = dict(inherits.fetchall())
    used = {parents.get(node["Index Name"]) for node in plan_of(reader, block.text) if "Index Name" in node}
    assert wanted <= used


def test_the_unclean_end_is_found(reader: psycopg.Connection) -> None:
    """Of the shop's writers exactly the killed one is named as not ended, with nothing undelivered."""
    rows = reader.execute(query("Writers that did not end cleanly")).fetchall()
    assert [(row[1], row[6], row[7], row[8]) for row in rows] == [("worker", 10, 10, 0)]


def test_the_ledger_agrees_with_the_rows(reader: psycopg.Connection) -> None:
    """The comparison with the ledger covers every writer, and finds no row missing, doubled or unknown."""
    rows = reader.execute(query("The rows of each writer against the ledger")).fetchall()
    assert len(rows) == 5
    assert {row[3:] for row in rows} == {(0, 0, None)}
    assert sum(row[2] for row in rows) > 1000


def test_all_batches_have_arrived(reader: psycopg.Connection) -> None:
    """The numbers of each writer's batches have no gap."""
    rows = reader.execute(query("Batches that have not arrived")).fetchall()
    assert [row[5] for row in rows] == [0] * 5


def test_the_role_may_only_read(reader: psycopg.Connection) -> None:
    """The role by which the cookbook is run cannot change a record."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("DELETE FROM dblog_logs WHERE timestamp >= now()")


def test_every_query_says_what_it_is_for() -> None:
    """Every query has a heading of its own, and the cookbook has enough of them."""
    headings = [block.heading for block in QUERIES[1:]]
    assert len(headings) == len(set(headings)) >= 20


def query(heading: str) -> bytes:
    """The query below a heading."""
    return next(block.text.encode() for block in QUERIES if block.heading == heading)


def plan_of(connection: psycopg.Connection, statement: str) -> list[dict[str, Any]]:
    """All nodes of the plan."""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode()).fetchone()
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def old_partitions(connection: psycopg.Connection) -> set[str]:
    """The partitions whose names, made from their days, say that they are old."""
    rows = connection.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'").fetchall()
    limit = f"{datetime.now(UTC) - OLD:%Y%m%d}"
    return {name for (name,) in rows if (day := re.search(r"_p(\d{8})", name)) and day[1] < limit}

"""Deleting rows of a partition in small batches, each of which the ledger is told of in the same transaction.

A batch is a stretch of the table's pages: together the batches read the table once, in order, and none of them gets
slower by what the others have deleted. Nothing is remembered on the way: a run that was cut short begins anew, and
finds less to do.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from dblog.columns import LOG_COLUMNS, SERVER_COLUMNS
from dblog.store.names import Names
from dblog.store.policy import Cuts

PAGES: Final = 256
"""Pages of one batch: 2 MiB, some thousand rows."""

Rest = Callable[[float], object]


def state_of(connection: sa.Connection, names: Names, partition: str, cuts: Cuts) -> str:
    """What changes as soon as there may be rows to delete: the rows that ever came, and what may go of them."""
    inserted = sa.func.pg_stat_get_tuples_inserted(sa.func.to_regclass(names.qualified(partition)))
    return f"{connection.scalar(sa.select(inserted))} {cuts.digest}"


def may_go_whole(connection: sa.Connection, names: Names, partition: str, cuts: Cuts) -> bool:
    """Whether a partition has rows, and none that has to stay."""
    statement = "SELECT EXISTS (SELECT FROM {part}) AND NOT EXISTS (SELECT FROM {part} WHERE NOT ({due}))"
    return bool(connection.scalar(*_composed(statement, names, partition, cuts)))


def count_due(connection: sa.Connection, names: Names, partition: str, cuts: Cuts) -> dict[int, int]:
    """How many rows may go, by the number of the level."""
    statement = "SELECT level_no, count(*) AS rows FROM {part} WHERE {due} GROUP BY level_no ORDER BY level_no"
    return {row.level_no: row.rows for row in connection.execute(*_composed(statement, names, partition, cuts))}


def delete_due(
    connection: sa.Connection, names: Names, partition: str, cuts: Cuts, *, rest: Rest = time.sleep
) -> Iterator[Counter[int]]:
    """Delete what may go; yields the rows of each batch by the number of the level.

    After a batch that deleted something it rests as long as the batch took, so that half of the time is left to others.

    Args:
        connection: In AUTOCOMMIT, with a `lock_timeout`.
        names: The tables.
        partition: The partition of the records.
        cuts: What may go.
        rest: Waits so many seconds.
    """
    pages = connection.execute(_PAGES, {"part": names.qualified(partition)}).scalar_one()
    statement, known = _composed(_DELETE, names, partition, cuts)
    connection.execute(_WITHOUT_HASHES, {"enabled": "off"})
    try:
        for first in range(0, pages, PAGES):
            begun = time.monotonic()
            batch = {"first": f"({first},0)", "last": f"({first + PAGES},0)"}
            gone = Counter[int]({row.level_no: row.rows for row in connection.execute(statement, known | batch)})
            yield gone
            if gone:
                rest(time.monotonic() - begun)
    finally:
        if not connection.invalidated:
            connection.execute(_WITHOUT_HASHES, {"enabled": "on"})


def to_rescue(connection: sa.Connection, names: Names, partition: str, cuts: Cuts) -> tuple[datetime, ...]:
    """The hours of the rows that have to stay."""
    statement = "SELECT DISTINCT date_trunc('hour', \"timestamp\") FROM {part} WHERE NOT ({due})"
    return tuple(connection.execute(*_composed(statement, names, partition, cuts)).scalars())


def rescue(connection: sa.Connection, names: Names, partition: str, cuts: Cuts) -> int:
    """Put the rows that have to stay back into the table from one that was detached, as they are."""
    return connection.execute(*_composed(_RESCUE, names, partition, cuts)).rowcount


def _composed(template: str, names: Names, partition: str, cuts: Cuts) -> tuple[sa.TextClause, dict[str, object]]:
    """Fill in the tables and the condition; returns the statement with its parameters."""
    below = "logger_name = :key{0} OR starts_with(logger_name, CAST(:key{0} AS text) || '.')"
    arms = [(below, *each) for each in cuts.loggers] + [("level_no = :key{0}", *each) for each in cuts.levels]
    known: dict[str, object] = {"others": cuts.others}
    cases = ""
    for number, (met, key, cut) in enumerate(arms):
        cases += f" WHEN {met.format(number)} THEN CAST(:cut{number} AS timestamptz)"
        known |= {f"key{number}": key, f"cut{number}": cut}
    cut_of_a_row = f"CASE{cases or ' WHEN false THEN NULL'} ELSE CAST(:others AS timestamptz) END"
    tables = {"part": partition, "logs": names.logs, "batches": names.batches}
    quoted = {key: names.qualified(table).replace(":", "\\:") for key, table in tables.items()}
    return sa.text(template.format(due=f'"timestamp" < {cut_of_a_row}', columns=_COLUMNS, **quoted)), known


_COLUMNS: Final = ", ".join(f'"{column.name}"' for column in (*LOG_COLUMNS, *SERVER_COLUMNS))

# The key of the ledger begins with the day of birth, which the rows do not have: mostly it is the day of the records.
# Looking up each batch on the days nearest to it costs far less than reading the ledger, which the planner, who does
# not know how few batches there are, would rather do: hence `found`, into which it cannot look, and no joins by hash.
_WITHOUT_HASHES = sa.text(
    "SELECT set_config('enable_hashjoin', :enabled, false), set_config('enable_mergejoin', :enabled, false)"
)

_PAGES: Final = sa.text("SELECT pg_relation_size(to_regclass(:part)) / CAST(current_setting('block_size') AS integer)")

_DELETE: Final = """
    WITH gone AS (
        DELETE FROM {part} WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid) AND {due}
        RETURNING "timestamp", writer_id, batch_seq, level_no
    ), counted AS (
        SELECT writer_id, batch_seq, CAST(count(*) AS integer) AS rows FROM gone GROUP BY writer_id, batch_seq
    ), days AS MATERIALIZED (
        SELECT current_date + days AS birth_day
        FROM generate_series(-61, 31) AS days
        ORDER BY abs(current_date + days - (SELECT CAST(min("timestamp") AS date) FROM gone))
    ), found AS MATERIALIZED (
        SELECT birth_day, writer_id, batch_seq, rows
        FROM counted CROSS JOIN LATERAL (
            SELECT days.birth_day
            FROM days CROSS JOIN LATERAL (
                SELECT FROM {batches} AS known
                WHERE known.birth_day = days.birth_day
                  AND known.writer_id = counted.writer_id AND known.batch_seq = counted.batch_seq
                OFFSET 0
            ) AS remembered
            LIMIT 1
        ) AS born
    ), noted AS (
        UPDATE {batches} AS ledger SET rows_removed = ledger.rows_removed + found.rows
        FROM found
        WHERE ledger.birth_day = found.birth_day
          AND ledger.writer_id = found.writer_id AND ledger.batch_seq = found.batch_seq
    )
    SELECT level_no, count(*) AS rows FROM gone GROUP BY level_no
"""

# Killed before the drop, the next run does it again: hence the conflicts.
_RESCUE: Final = """
    INSERT INTO {logs} ({columns}) SELECT {columns} FROM {part} WHERE NOT ({due})
    ON CONFLICT ("timestamp", id) DO NOTHING
"""

"""The SQL that compares the ledger with the rows, batch by batch, and sums up by writer."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from dblog.reading.window import Window
from dblog.store.names import Names


def compose(template: str, names: Names, writer: UUID | None, spans: Sequence[Window] = ()) -> sa.TextClause:
    """Fill in the tables, the stretches of time to read and, where only one writer is looked at, that writer."""
    tables = {"logs": names.qualified(names.logs), "batches": names.qualified(names.batches)}
    tables["settings"] = names.qualified(names.settings)
    quoted = {name: table.replace(":", "\\:") for name, table in tables.items()}
    within = " OR ".join(f'"timestamp" BETWEEN :since_{number} AND :until_{number}' for number in range(len(spans)))
    only = "writer_id = :writer" if writer is not None else "true"
    return sa.text(template.format(within=within, only=only, **quoted))


# Taken before the snapshot, this keeps a partition that is to go meanwhile attached to the end of the transaction; one
# that is gone already has left its horizon. ONLY: whoever works on a partition that is not read is not waited for.
HOLD: Final = "LOCK TABLE ONLY {logs}, ONLY {batches} IN ACCESS SHARE MODE"

# The stretches of time that hold the rows of the batches, and the window itself, which may hold rows without a batch.
# Those closer than a day are one: the number of stretches is bounded, and so are the partitions that are opened.
SPANS: Final = """
    SELECT lower(span), upper(span) - interval '1 day'
    FROM (
        SELECT unnest(range_agg(tstzrange(first, last + interval '1 day', '[]'))) AS span
        FROM (
            SELECT time_from AS first, time_to AS last FROM {batches}
            WHERE created_at >= :since AND created_at < :until AND time_from IS NOT NULL AND {only}
            UNION ALL SELECT :since, :until
        ) AS stretches
    ) AS spans
"""

# `found` and `ledger` are by batch, of the window or of what was found; `history` is by writer and of all its batches.
# Of a batch, as many rows are expected as were stored and not deleted on purpose. Of days that were restored from an
# archive, more may be there again, and those of batches that the ledger does not know.
ACCOUNTS: Final = """
    WITH restored AS (
        SELECT CAST(substr(name, 10) AS date) AS day FROM {settings} WHERE starts_with(name, 'restored ')
    ), found AS (
        SELECT writer_id, batch_seq, count(*) AS rows, max("timestamp") AS newest,
               CAST(min("timestamp") AT TIME ZONE 'UTC' AS date) IN (SELECT day FROM restored)
               OR CAST(max("timestamp") AT TIME ZONE 'UTC' AS date) IN (SELECT day FROM restored) AS came_back
        FROM {logs} WHERE ({within}) AND {only}
        GROUP BY writer_id, batch_seq
    ), ledger AS (
        SELECT writer_id, batch_seq, count(*) AS times, max(rows_stored) AS stored, max(rows_removed) AS removed,
               max(rows_stored - rows_removed) AS expected, max(rows_rejected) AS refused,
               min(time_from) AS time_from, bool_or(created_at >= :since AND created_at < :until) AS inside
        FROM {batches} LEFT JOIN found USING (writer_id, batch_seq)
        WHERE (created_at >= :since AND created_at < :until OR found.rows > 0) AND {only}
        GROUP BY writer_id, batch_seq
    ), compared AS (
        SELECT writer_id, batch_seq, stored, removed, refused, inside,
               coalesce(rows, 0) AS rows, coalesce(expected, 0) AS expected,
               abs(coalesce(rows, 0) - coalesce(expected, 0)) AS apart,
               CASE WHEN times IS NULL AND (came_back OR newest < CAST(:forgotten AS timestamptz)) THEN 'forgotten'
                    WHEN times IS NULL THEN 'unknown'
                    WHEN NOT inside THEN 'outside'
                    WHEN times > 1 OR rows > CASE WHEN came_back THEN stored ELSE expected END THEN 'doubled'
                    WHEN coalesce(rows, 0) >= expected THEN 'equal'
                    WHEN time_from < CAST(:pruned AS timestamptz) THEN 'pruned'
                    ELSE 'missing' END AS verdict
        FROM ledger FULL JOIN found USING (writer_id, batch_seq)
    ), faults AS (
        SELECT writer_id, verdict, count(*) AS batches, sum(apart) AS rows,
               jsonb_agg(jsonb_build_array(batch_seq, expected, rows) ORDER BY batch_seq)
                   FILTER (WHERE place <= :examples) AS examples
        FROM (
            SELECT writer_id, verdict, batch_seq, expected, rows, apart,
                   row_number() OVER (PARTITION BY writer_id, verdict ORDER BY batch_seq) AS place
            FROM compared WHERE verdict IN ('missing', 'doubled', 'unknown')
        ) AS faulty
        GROUP BY writer_id, verdict
    ), verdicts AS (
        SELECT writer_id, jsonb_object_agg(verdict, jsonb_build_array(batches, rows, examples)) AS verdicts
        FROM faults GROUP BY writer_id
    ), totals AS (
        SELECT writer_id, count(*) FILTER (WHERE inside) AS batches,
               coalesce(sum(stored) FILTER (WHERE inside), 0) AS ledger_rows,
               CAST(coalesce(sum(rows) FILTER (WHERE inside), 0) AS bigint) AS table_rows,
               CAST(coalesce(sum(removed) FILTER (WHERE inside), 0) AS bigint)
                   + CAST(coalesce(sum(apart) FILTER (WHERE verdict = 'pruned'), 0) AS bigint) AS pruned_rows,
               coalesce(sum(refused) FILTER (WHERE inside), 0) AS refused_rows
        FROM compared GROUP BY writer_id
        HAVING bool_or(inside OR verdict = 'unknown')
    ), history AS (
        SELECT writer_id, count(DISTINCT batch_seq) AS known, min(batch_seq) AS lowest, max(batch_seq) AS highest,
               min(birth_day) AS first_day, max(created_at) AS last_heard, bool_or(closing) AS closing,
               coalesce(max(batch_seq) FILTER (WHERE closing) = max(batch_seq), false) AS ended_in_order,
               greatest(max(accepted) - sum(rows_stored) - sum(rows_rejected), 0) AS undelivered,
               max(service) AS service, max(hostname) AS hostname, max(process_id) AS process_id
        FROM {batches} WHERE writer_id IN (SELECT writer_id FROM totals)
        GROUP BY writer_id
    )
    SELECT writer_id, service, hostname, process_id, coalesce(closing, false) AS closed, last_heard,
           batches, ledger_rows, table_rows, pruned_rows, refused_rows,
           coalesce(ended_in_order, false) AS ended_in_order,
           known, lowest, highest, first_day, undelivered, coalesce(verdicts, '{{}}') AS verdicts
    FROM totals LEFT JOIN history USING (writer_id) LEFT JOIN verdicts USING (writer_id)
    ORDER BY last_heard DESC NULLS LAST, writer_id
"""

# The batches of the window that had refused rows.
REFUSED: Final = """
    SELECT DISTINCT writer_id, batch_seq FROM {batches}
    WHERE created_at >= :since AND created_at < :until AND rows_rejected > 0 AND {only}
"""

# All batches of derived writers, whose UUIDs have version 5.
SENT_AGAIN: Final = """
    SELECT writer_id, batch_seq, rows_stored FROM {batches}
    WHERE substr(CAST(writer_id AS text), 15, 1) = '5'
"""

GAPS: Final = """
    SELECT writer_id, first, last
    FROM (
        SELECT writer_id, before + 1 AS first, batch_seq - 1 AS last,
               row_number() OVER (PARTITION BY writer_id ORDER BY batch_seq) AS place
        FROM (
            SELECT writer_id, batch_seq, lag(batch_seq, 1, 0) OVER (PARTITION BY writer_id ORDER BY batch_seq) AS before
            FROM {batches} WHERE writer_id = ANY(:writers)
        ) AS steps
        WHERE batch_seq > before + 1
    ) AS gaps
    WHERE place <= :most
    ORDER BY writer_id, first
"""

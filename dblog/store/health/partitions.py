"""Whether the partitions are there that will be needed, and what is among them that dblog did not make."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from dblog.checks import Check
from dblog.store.health.subject import Subject, named, prune, psql
from dblog.store.partitions import plan_ahead
from dblog.store.quoting import literal


def check_partitions(subject: Subject) -> Iterator[Check]:
    """Partitions ahead, half detached ones, default ones, and tables of others."""
    ahead = subject.settings.database.partitions_ahead
    missing = plan_ahead(subject.partitions, subject.now, subject.partition_by, ahead)
    if missing:
        yield Check("partitions ahead", "warning", f"{len(missing)} are missing", "dblog init")
    else:
        count = sum(part.table == "logs" for part in subject.partitions)
        yield Check("partitions ahead", "ok", f"{count} partitions")
    for part in subject.partitions:
        names = subject.names
        if part.default:
            parent = names.qualified(names.of(part.table))
            remedy = psql([f"ALTER TABLE {parent} DETACH PARTITION {names.qualified(part.name)}"])
            finding = f"{part.name} keeps old partitions from going; what it holds has to be inserted again afterwards"
            yield Check("default partition", "warning", finding, remedy)
        if part.detaching:
            yield Check("detaching", "warning", f"{part.name} is half detached", "dblog prune")
    yield from _foreign(subject)
    yield from _beside(subject)


def _foreign(subject: Subject) -> Iterator[Check]:
    """What somebody else attached: the retention never takes it away."""
    for table in ("logs", "batches"):
        parent = subject.names.qualified(subject.names.of(table))
        for row in subject.connection.execute(_FOREIGN, {"parent": parent}):
            if row.same_schema:
                mark = subject.connection.scalar(_MARK, {"parent": parent})
                remedy = psql([f"COMMENT ON TABLE {row.name} IS {literal(mark)}"])
            else:
                remedy = psql([f"ALTER TABLE {parent} DETACH PARTITION {row.name} CONCURRENTLY"])
            what = "hands it over to dblog" if row.same_schema else "takes it out of the table"
            finding = f"{row.name} was attached by somebody else, so that it never expires; the command {what}"
            yield Check("foreign partition", "warning", finding, remedy)


def _beside(subject: Subject) -> Iterator[Check]:
    """Tables that look like partitions and are none: what the retention left, and what somebody keeps."""
    left = [each.name for each in subject.leftovers]
    if left:
        finding = f"{named(left)}: detached, and not dropped yet"
        unarchived = [each.name for each in subject.leftovers if each.mark.archive]
        if unarchived:
            finding += f"; to be archived first: {named(unarchived)}"
        yield Check("expired tables", "warning", finding, prune(subject))
    asked = {"schema": subject.names.schema, "pattern": f"^{subject.names.prefix}_(logs|batches)_p[0-9]{{4}}"}
    beside = [row for row in subject.connection.execute(_BESIDE, asked) if row.relname not in left]
    if beside:
        finding = (
            f"{named(row.name for row in beside)}: named like a partition, but none, so that it is neither read nor "
            "dropped; the command gives another name"
        )
        renamed = [f"ALTER TABLE {row.name} RENAME TO {row.other}" for row in beside]
        yield Check("table beside", "warning", finding, psql(renamed))


_FOREIGN: Final = sa.text(
    """
    SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relnamespace = p.relnamespace AS same_schema
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = inhrelid
    JOIN pg_class p ON p.oid = inhparent
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = to_regclass(:parent) AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
      AND (c.relnamespace <> p.relnamespace
           OR NOT coalesce(starts_with(obj_description(c.oid, 'pg_class'), 'dblog partition of '), false))
    ORDER BY name
    """
)

_MARK: Final = sa.text(
    """
    SELECT format('dblog partition of %I.%I', nspname, relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass(:parent)
    """
)

_BESIDE: Final = sa.text(
    """
    SELECT relname, format('%I.%I', nspname, relname) AS name, quote_ident('kept_' || left(relname, 50)) AS other
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = :schema AND relkind IN ('r', 'p', 'f') AND NOT relispartition AND relname ~ :pattern
    ORDER BY relname
    """
)

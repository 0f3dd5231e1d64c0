"""The rows against the ledger: whether anything that was delivered is missing, or there twice.

The ledger has a row for each batch, written by the transaction that stored the batch. So each batch has as many rows in
`{prefix}_logs` as the ledger says, and each row belongs to a batch that the ledger knows, but for what the retention
has removed and recorded. The numbers of a writer's batches have no gaps, but for those that have not arrived.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from dblog.batch import derived_writer
from dblog.reading.comparison import ACCOUNTS, GAPS, HOLD, REFUSED, SENT_AGAIN, SPANS, compose
from dblog.reading.notes import Notes, read_notes
from dblog.reading.window import Window
from dblog.store.horizons import Horizons, horizons_of
from dblog.store.names import Names

EXAMPLES: Final = 10
"""Batches, and gaps, of one kind and writer that are named."""

SILENCE: Final = timedelta(days=7)
"""A writer whose first known batch is this close to the beginning of the ledger's memory had others before it. Only a
process that says nothing for so long is taken for one that began later, and its forgotten batches for a gap."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A batch whose rows are not those of the ledger."""

    batch_seq: int
    expected: int
    """Rows by the ledger, without those that the retention deleted."""
    found: int
    """Rows in the table."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one kind of one writer."""

    batches: int
    rows: int
    """Missing rows, rows too many, or unknown rows."""
    examples: tuple[Fault, ...]
    """The first `EXAMPLES`."""


NONE: Final = Faults(0, 0, ())


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one writer. Counts are of the batches delivered in the window, where nothing else is said."""

    writer_id: UUID
    notes: Notes
    """What writers have recorded about it in the window."""
    service: str | None = None
    hostname: str | None = None
    process_id: int | None = None
    closed: bool = False
    """Whether it said that it ended."""
    ended_in_order: bool = False
    """Whether the last batch that is known of it is the one that says so."""
    last_heard: datetime | None = None
    """When its last batch was delivered, by the clock of the server; None where none was."""
    batches: int = 0
    ledger_rows: int = 0
    """Rows by the ledger."""
    table_rows: int = 0
    """Rows in the table."""
    pruned_rows: int = 0
    """Rows that the retention removed."""
    refused_rows: int = 0
    """Rows that PostgreSQL refused; the writer has set them aside."""
    sent_again: int = 0
    """Those of them that were sent again and are stored by now, whatever the window."""
    gaps: int = 0
    """Numbers of batches, from its first to its last, that the ledger does not have, whatever the window."""
    gap_ranges: tuple[tuple[int, int], ...] = ()
    """The first `EXAMPLES` gaps: first and last number."""
    undelivered: int | None = None
    """Records that it had accepted when its last batch was formed, and that are neither stored nor refused, whatever
    the window: they may wait in its memory or a spool. None where the ledger has forgotten its first batches."""
    missing: Faults = NONE
    """Batches with fewer rows than the ledger says."""
    doubled: Faults = NONE
    """Batches with more rows than the ledger says, or that the ledger has twice."""
    unknown: Faults = NONE
    """Batches that have rows and that the ledger, as far as it remembers, does not know."""

    @property
    def state(self) -> Literal["closed", "open", "ended uncleanly"]:
        """`open`: it may be at work, or idle, or it ended without a word and nobody has found that out yet."""
        if self.closed:
            return "closed"
        return "ended uncleanly" if self.notes.unclean_end else "open"

    @property
    def derived(self) -> bool:
        """Whether its rows are those of other writers, which had been set aside and were sent again."""
        return self.writer_id.version == 5

    @property
    def unaccounted(self) -> int:
        """Records that it accepted, and that are neither stored nor refused although all its batches are delivered.

        What was dropped before it was accepted is no part of them. Batches that were given up are gaps: with gaps it
        is not known how many records they had, and this is 0.
        """
        return (self.undelivered or 0) if self.ended_in_order and not self.gaps else 0

    @property
    def proven(self) -> bool:
        """False where records are known not to be in the table, or to be there twice."""
        lost = self.notes.dropped or self.notes.printed
        faults = self.missing.batches or self.doubled.batches or self.unknown.batches
        return not (faults or self.gaps or self.unaccounted or lost)


def audit(connection: sa.Connection, names: Names, window: Window, writer: UUID | None = None) -> tuple[Account, ...]:
    """Compare the batches that were delivered in a window, of all writers or of one, with the table.

    All statements see one snapshot: a batch that is committed meanwhile is in both counts or in none.

    Args:
        connection: From `dblog.store.engine.reading`, in no transaction.
        names: The tables.
        window: By the clock of the server. Rows with a timestamp in it are looked at whenever they were delivered.
        writer: The only one to look at; None for all.

    Returns:
        The accounts of the writers, the last heard of first.
    """
    steady = connection.execution_options(isolation_level="REPEATABLE READ")
    with steady.begin():
        steady.execute(compose(HOLD, names, None))
        horizons = horizons_of(steady, names)
        asked = {"since": window.since, "until": window.until, "writer": writer}
        spans = [Window(*row) for row in steady.execute(compose(SPANS, names, writer), asked)]
        limits = {f"{end}_{i}": getattr(span, end) for i, span in enumerate(spans) for end in ("since", "until")}
        known = {"pruned": horizons.logs, "forgotten": horizons.batches, "examples": EXAMPLES}
        rows = steady.execute(compose(ACCOUNTS, names, writer, spans), asked | limits | known).mappings().all()
        gaps = _find_gaps(steady, names, [row["writer_id"] for row in rows if _gaps(row, horizons)])
        notes = read_notes(steady, names, spans, writer)
        again = _count_sent_again(steady, names, window, writer)
    accounts = [
        _account(row, notes.pop(row["writer_id"], Notes()), gaps, again[row["writer_id"]], horizons) for row in rows
    ]
    return (*accounts, *(Account(other, about) for other, about in notes.items()))


Ranges = Sequence[tuple[int, int]]


def _find_gaps(connection: sa.Connection, names: Names, writers: Sequence[UUID]) -> Mapping[UUID, Ranges]:
    found: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    if writers:
        wanted = sa.bindparam("writers", list(writers), ARRAY(sa.Uuid()))
        most = EXAMPLES + 1  # the first may be of batches that the ledger has forgotten
        for writer, first, last in connection.execute(compose(GAPS, names, None).bindparams(wanted), {"most": most}):
            found[writer].append((first, last))
    return found


def _count_sent_again(connection: sa.Connection, names: Names, window: Window, writer: UUID | None) -> Counter[UUID]:
    """How many of the rows that were refused in the window are stored by now, by writer."""
    derived: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    for sender, seq, stored in connection.execute(compose(SENT_AGAIN, names, None)):
        derived[sender].append((seq, stored))
    again: Counter[UUID] = Counter()
    if derived:
        asked = {"since": window.since, "until": window.until, "writer": writer}
        for origin, batch_seq in connection.execute(compose(REFUSED, names, writer), asked):
            tried = [(origin, batch_seq)]
            while tried:  # what was refused again may have been sent a third time
                sender = derived_writer(*tried.pop())
                again[origin] += sum(stored for _, stored in derived.get(sender, ()))
                tried += [(sender, seq) for seq, _ in derived.get(sender, ())]
    return again


def _account(
    row: sa.RowMapping, notes: Notes, gaps: Mapping[UUID, Ranges], sent_again: int, horizons: Horizons
) -> Account:
    first = _first(row, horizons)
    ranges = [(low, high) for low, high in gaps.get(row["writer_id"], ()) if low >= first]
    return Account(
        notes=notes,
        sent_again=sent_again,
        gaps=_gaps(row, horizons),
        gap_ranges=tuple(ranges[:EXAMPLES]),
        undelivered=row["undelivered"] if first == 1 else None,
        missing=_faults(row, "missing"),
        doubled=_faults(row, "doubled"),
        unknown=_faults(row, "unknown"),
        **{name: row[name] for name in _AS_COUNTED},
    )


_AS_COUNTED: Final = (
    "writer_id",
    "service",
    "hostname",
    "process_id",
    "closed",
    "ended_in_order",
    "last_heard",
    "batches",
    "ledger_rows",
    "table_rows",
    "pruned_rows",
    "refused_rows",
)


def _first(row: sa.RowMapping, horizons: Horizons) -> int:
    """The number of the first batch that the ledger ought to have."""
    if horizons.batches is None or row["first_day"] is None:
        return 1
    return int(row["lowest"]) if row["first_day"] <= horizons.batches.date() + SILENCE else 1


def _gaps(row: sa.RowMapping, horizons: Horizons) -> int:
    """How many numbers are not there."""
    if row["highest"] is None:
        return 0
    return int(row["highest"] - _first(row, horizons) + 1 - row["known"])


def _faults(row: sa.RowMapping, kind: str) -> Faults:
    if kind not in row["verdicts"]:
        return NONE
    batches, rows, examples = row["verdicts"][kind]
    return Faults(batches, rows, tuple(Fault(*numbers) for numbers in examples))

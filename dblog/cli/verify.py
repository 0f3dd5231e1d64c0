"""`dblog verify`: prove from the database that nothing is missing and nothing is there twice."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from shutil import get_terminal_size
from typing import Final
from uuid import UUID

import click

from dblog.cli.options import with_output, with_settings, with_window
from dblog.cli.render import Style, draw, make_table, several, to_json, write
from dblog.escapes import printable
from dblog.reading.audit import Account, Faults, audit
from dblog.reading.notes import UncleanEnd
from dblog.reading.window import Window, in_zone, show
from dblog.settings import Settings
from dblog.store.engine import reading

Cell = str | int
NOTHING: Final = (0, "", "0")
"""A column that has nothing else in it is left out."""
_DISPENSABLE: Final = (
    "pid",
    "host",
    "heard",
    "pruned",
    "dropped",
    "printed",
    "gaps",
    "unknown",
    "doubled",
    "missing",
    "refused",
    "waiting",
)
"""Columns that a narrow terminal has no room for, the first ones first."""
_BREAKABLE: Final = ("service", "host")
_GAP: Final = 3
"""Between two columns."""


@click.command("verify")
@with_settings
@with_window("batches delivered")
@with_output(["table", "json"])
@click.option("--writer", type=click.UUID, metavar="UUID", help="Only this writer.")
@click.pass_context
def command(
    ctx: click.Context, settings: Settings, window: Window, timeout: float, style: Style, writer: UUID | None
) -> None:
    """Prove that nothing is missing and nothing is there twice: compare the rows of each writer with the ledger.

    \b
    Exit code 1: records are known not to be in the table, or to be there twice:
      missing   a batch has fewer rows than the ledger says
      doubled   a batch has more rows than the ledger says
      unknown   rows of a batch that the ledger does not know
      gaps      batches that were not delivered: they may still wait in a spool
      dropped   what a writer has recorded as lost
      printed   what a writer has recorded as written to stderr
    and a writer that closed with records that are neither stored nor refused.
    Exit code 0: none of that. Only shown are open writers, unclean ends,
    refused rows and what the retention removed.
    """  # noqa: D301 - click knows a paragraph to be left alone by the character itself
    with reading(settings.database, statement_timeout=timeout) as (connection, names):
        accounts = audit(connection, names, window, writer)
    if style.form == "json":
        write([to_json(_as_json(accounts, window, style))])
    else:
        write(_report(accounts, window, style))
    ctx.exit(0 if _proven(accounts) else 1)


def _proven(accounts: Sequence[Account]) -> bool:
    return all(account.proven for account in accounts)


def _report(accounts: Sequence[Account], window: Window, style: Style) -> Iterator[str]:
    if accounts:
        yield from _table(accounts, style)
    for account in accounts:
        yield from (f"writer {account.writer_id}: {printable(finding)}" for finding in _findings(account))
    rows, batches = sum(account.table_rows for account in accounts), sum(account.batches for account in accounts)
    verdict = "proven" if _proven(accounts) else "not proven"
    since = show(window.since, style.zone)
    writers = sum(not account.derived for account in accounts)
    yield f"{verdict}: writers {writers:,}, batches {batches:,}, rows {rows:,}; delivered since {since}"


def _table(accounts: Sequence[Account], style: Style) -> Iterator[str]:
    rows = [_cells(account, style) for account in accounts if not account.derived]
    derived = [account for account in accounts if account.derived]
    if derived:
        rows.append(_folded(derived, style))
    heads = [head for head in rows[0] if any(row[head] not in NOTHING for row in rows)]
    if sys.stdout.isatty():
        heads = _fitting(heads, rows, get_terminal_size().columns)
    whole = [head for head in heads if head not in _BREAKABLE]
    yield from draw(make_table("", heads, ([row[head] for head in heads] for row in rows), whole=whole), style)


def _fitting(heads: Sequence[str], rows: Sequence[Mapping[str, Cell]], width: int) -> list[str]:
    """The columns that there is room for: those that matter least are left out first."""
    sizes = {head: max(len(head), *(len(_shown(row[head])) for row in rows)) for head in heads}
    for head in _DISPENSABLE:
        if sum(sizes.values()) + _GAP * len(sizes) <= width:
            break
        sizes.pop(head, None)
    return list(sizes)


def _shown(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)


def _cells(account: Account, style: Style) -> dict[str, Cell]:
    return {
        "writer": str(account.writer_id)[:8],
        "service": account.service or "",
        "host": account.hostname or "",
        "pid": "" if account.process_id is None else str(account.process_id),
        "state": "unclean" if account.state == "ended uncleanly" else account.state,
        **_figures([account]),
        "heard": _short(account.last_heard, style),
    }


def _folded(derived: Sequence[Account], style: Style) -> dict[str, Cell]:
    heard = [account.last_heard for account in derived if account.last_heard]
    nobody = {"writer": "rows sent again", "service": "", "host": "", "pid": "", "state": ""}
    return {**nobody, **_figures(derived), "heard": _short(max(heard, default=None), style)}


def _figures(accounts: Sequence[Account]) -> dict[str, int]:
    return {
        "batches": sum(account.batches for account in accounts),
        "ledger": sum(account.ledger_rows for account in accounts),
        "table": sum(account.table_rows for account in accounts),
        "pruned": sum(account.pruned_rows for account in accounts),
        "refused": sum(account.refused_rows - account.sent_again for account in accounts),
        "gaps": sum(account.gaps for account in accounts),
        "missing": sum(account.missing.rows for account in accounts),
        "doubled": sum(account.doubled.rows for account in accounts),
        "unknown": sum(account.unknown.rows for account in accounts),
        "waiting": sum(account.undelivered or 0 for account in accounts),
        "dropped": sum(account.notes.dropped for account in accounts),
        "printed": sum(account.notes.printed for account in accounts),
    }


def _short(moment: datetime | None, style: Style) -> str:
    return f"{in_zone(moment, style.zone):%m-%d %H:%M:%S}" if moment else ""


def _findings(account: Account) -> Iterator[str]:
    for fault in account.missing.examples:
        lacking = fault.expected - fault.found
        yield f"batch {fault.batch_seq}: {lacking:,} of {several(fault.expected, 'row')} {_are(lacking)} missing"
    yield from _others(account.missing, "with missing rows")
    for fault in account.doubled.examples:
        yield f"batch {fault.batch_seq}: {several(fault.found, 'row')}, {fault.expected:,} by the ledger"
    yield from _others(account.doubled, "with too many rows")
    for fault in account.unknown.examples:
        yield f"batch {fault.batch_seq}: {several(fault.found, 'row')} of a batch that the ledger does not know"
    yield from _others(account.unknown, "that the ledger does not know")
    if account.gaps:
        named = sum(last - first + 1 for first, last in account.gap_ranges)
        ranges = [str(first) if first == last else f"{first}-{last}" for first, last in account.gap_ranges]
        more = [f"{account.gaps - named:,} more"] if account.gaps > named else []
        batches = "batch" if account.gaps == 1 else "batches"
        yield f"{batches} not delivered, which may still wait in a spool: {', '.join([*ranges, *more])}"
    if account.unaccounted:
        lost = several(account.unaccounted, "record")
        yield f"closed in order, but {lost} that it had taken {_are(account.unaccounted)} neither stored nor refused"
    if account.notes.dropped or account.notes.printed:
        yield f"recorded as lost: {account.notes.dropped:,} dropped, {account.notes.printed:,} printed to stderr"
    if account.state == "ended uncleanly" and account.notes.unclean_end:
        yield _told(account.notes.unclean_end)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _told(end: UncleanEnd) -> str:
    if end.journaled:
        return "ended uncleanly; what it had taken was in its journal"
    if end.waiting is None or end.last_seen is None:
        return "ended uncleanly; nothing is known of what was in its memory"
    if not end.waiting:
        return f"ended uncleanly; nothing was in its memory at {end.last_seen}, lost is at most what it took later"
    were = "was" if end.waiting == 1 else "were"
    return (
        f"ended uncleanly; lost {_are(end.waiting)} at most the {several(end.waiting, 'record')} that {were} in its "
        f"memory at {end.last_seen}, and what it took later"
    )


def _others(faults: Faults, what: str) -> Iterator[str]:
    others = faults.batches - len(faults.examples)
    if others:
        yield f"{others:,} more {'batch' if others == 1 else 'batches'} {what}"


def _as_json(accounts: Sequence[Account], window: Window, style: Style) -> dict[str, object]:
    return {
        "since": in_zone(window.since, style.zone).isoformat(),
        "until": in_zone(window.until, style.zone).isoformat(),
        "proven": _proven(accounts),
        "writers": [_writer_as_json(account, style) for account in accounts],
    }


def _writer_as_json(account: Account, style: Style) -> dict[str, object]:
    notes = account.notes
    return {
        "writer_id": str(account.writer_id),
        "service": account.service,
        "hostname": account.hostname,
        "process_id": account.process_id,
        "state": account.state,
        "last_heard": account.last_heard and in_zone(account.last_heard, style.zone).isoformat(),
        "proven": account.proven,
        "batches": account.batches,
        "ledger_rows": account.ledger_rows,
        "table_rows": account.table_rows,
        "pruned_rows": account.pruned_rows,
        "refused_rows": account.refused_rows,
        "sent_again": account.sent_again,
        "gaps": {"batches": account.gaps, "examples": account.gap_ranges},
        "missing": asdict(account.missing),
        "doubled": asdict(account.doubled),
        "unknown": asdict(account.unknown),
        "undelivered": account.undelivered,
        "unaccounted": account.unaccounted,
        "losses": {"dropped": notes.dropped, "printed": notes.printed, "rejected": notes.rejected},
        "unclean_end": asdict(notes.unclean_end) if notes.unclean_end else None,
    }

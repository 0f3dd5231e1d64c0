"""`dblog writers`: how the writers of this host are, and what they hold back."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from dblog.cli.held import FAILING, Held, look
from dblog.cli.options import form_option, with_spool_dir
from dblog.cli.render import Style, counted, draw, make_table, several, to_json, wrapped, write
from dblog.cli.targets import shown
from dblog.escapes import printable
from dblog.reading.window import show
from dblog.sinks import survey
from dblog.sinks.survey import Status

WIDTH: Final = 100
"""Columns of the answer, on any terminal."""
HEADS: Final = ("pid", "name", "state", "memory", "spool", "oldest", "dropped", "refused", "status")
_WHOLE: Final = tuple(head for head in HEADS if head != "state")
_NAME_WIDTH: Final = 13


@click.command("writers")
@with_spool_dir
@form_option
@click.option("--utc", is_flag=True, help="Show times in UTC instead of the local time zone.")
@click.pass_context
def command(ctx: click.Context, directory: Path, output: str, utc: bool) -> None:
    """Show how the writers of this host are, and what they hold back.

    A writer is one handler in one process. Nothing is asked of the database, and no writer is disturbed.

    Exit code 1: records are held back, because a writer cannot deliver or because it ended and left them behind; or a
    writer could not be looked into.
    """
    now = datetime.now(UTC)
    found = (look(writer, now) for writer in survey.writers(directory))
    held = sorted(found, key=lambda each: (not each.in_trouble, each.state))
    refused = len(survey.rejected(directory))
    if output == "json":
        write([to_json([_as_json(each) for each in held])])
    else:
        write(_report(directory, held, refused, now, Style("table", UTC if utc else None, colour=False)))
    ctx.exit(1 if any(each.in_trouble for each in held) else 0)


def _report(directory: Path, held: Sequence[Held], refused: int, now: datetime, style: Style) -> Iterator[str]:
    unseen = sum(each.writer.problem is not None for each in held)
    troubled = sum(each.in_trouble for each in held) - unseen
    living = frozenset(target for each in held if each.writer.alive for target in each.targets)
    parts = [f"{troubled} in trouble"] if troubled else []
    if unseen:
        parts.append(f"{several(unseen, 'writer')} could not be looked into: run as its user")
    summary = "; ".join(parts) or "nothing is held back"
    yield f"{several(len(held), 'writer')} in {printable(str(directory))}: {summary}"
    for place in sorted({_place(each) for each in held}):
        group = [each for each in held if _place(each) == place]
        yield f"\ndatabase {printable(place)}" if place else "\ndatabase unknown"
        yield from draw(make_table("", HEADS, (_cells(each, now) for each in group), whole=_WHOLE), style)
    for each in held:
        findings = list(_findings(each, now, style, living))
        if findings:
            yield from wrapped(f"{_title(each)}:", WIDTH)
            yield from (line for finding in findings for line in wrapped(finding, WIDTH, indent="  "))
    if refused:
        yield f"{several(refused, 'file')} with refused rows: see `dblog rejected ls`"


def _place(held: Held) -> str:
    return held.writer.status.place if held.writer.status is not None else ""


def _cells(held: Held, now: datetime) -> tuple[object, ...]:
    status = held.writer.status
    spool = (held.rows, _age(held.oldest, now))
    if status is None:
        return ("?", held.writer.writer_id[:8], held.state, 0, *spool, 0, 0, "")
    memory = sum(status.waiting.values()) if held.writer.alive else 0
    name = status.service or status.program
    return (
        str(status.process_id),
        name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…",
        held.state,
        memory,
        *spool,
        sum(sum(levels.values()) for levels in (status.dropped, status.printed)),
        sum(status.rejected.values()),
        _age(status.updated, now),
    )


def _age(moment: datetime | None, now: datetime) -> str:
    """How long ago something was, in at most five characters."""
    if moment is None:
        return ""
    seconds = max(0, round((now - moment).total_seconds()))
    units = ((86_400, "d"), (3_600, "h"), (60, "m"))
    return next((f"{seconds // size} {unit}" for size, unit in units if seconds >= 2 * size), f"{seconds} s")


def _title(held: Held) -> str:
    status = held.writer.status
    if status is None:
        return f"writer {held.writer.writer_id}"
    service = f" of {status.service}" if status.service else ""
    return f"pid {status.process_id} on {status.hostname}, {status.program}{service}, writer {held.writer.writer_id}"


def _findings(held: Held, now: datetime, style: Style, living: frozenset[str]) -> Iterator[str]:
    """What an operator must know, a sentence each; `living` are the targets of the writers that live."""
    status = held.writer.status
    if held.writer.problem is not None:
        yield held.writer.problem
    if held.silent and status is not None:
        yield f"has not been heard of for {_age(status.updated, now)}, though records wait: is the process stopped?"
    elif held.writer.alive and status is not None and (status.last_error or status.state in FAILING):
        since = status.failing_since
        when = f" since {show(since, style.zone)} ({_age(since, now)})" if since is not None else ""
        yield f"does not reach {status.place}{when}: {status.last_error or status.state}"
    if held.writer.alive is False:
        yield from _left(held, status, living)
    if held.writer.alive and status is not None and status.spool_error is not None:
        yield f"its spool {status.spool_error}"
    yield from held.unread
    if held.damages:
        yield f"{several(held.damages, 'damaged place')} in its files: see `dblog spool verify`"
    if status is not None:
        lost = {"dropped": status.dropped, "printed to stderr": status.printed, "refused": status.rejected}
        parts = [f"{how} {counted(levels)}" for how, levels in lost.items() if levels]
        if parts:
            yield f"so far not for the table: {'; '.join(parts)}"


def _left(held: Held, status: Status | None, living: frozenset[str]) -> Iterator[str]:
    closed = status is not None and status.closed
    ended = "closed" if closed else "ended without closing"
    if held.rows:
        if status is not None and status.last_error is not None:
            yield f"did not reach {status.place}: {status.last_error}"
        orphaned = sorted(held.targets - living) if living else []
        how = "another writer to the same database takes them over, or `dblog replay`"
        if orphaned:
            where = " and ".join(map(shown, orphaned))
            how = f"no living writer writes to {where}; if it has a new address, `dblog replay --from` takes them there"
        yield f"{ended} and left {several(held.rows, 'row')}: {how}"
    elif not closed:
        yield ended
    if status is not None and not closed and status.durability != "journal" and any(status.waiting.values()):
        yield f"what waited in its memory is lost: {counted(status.waiting)} when it was last heard of"


def _as_json(held: Held) -> dict[str, Any]:
    writer = held.writer
    status = None
    if writer.status is not None:
        status = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(writer.status).items()
        }
    return {
        "writer_id": writer.writer_id,
        "alive": writer.alive,
        "state": held.state,
        "in_trouble": held.in_trouble,
        "problem": writer.problem,
        "spool": {
            "rows": held.rows,
            "bytes": held.bytes,
            "oldest": held.oldest.isoformat() if held.oldest is not None else None,
            "damages": held.damages,
            "unread": held.unread,
        },
        "status": status,
    }

"""What the table itself is told: records that are missing in it, and writers that ended without closing.

A note is an ordinary record of the logger `dblog`, whose `extra_data` holds the figures for programs.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from dblog.columns import COLUMN_NAMES
from dblog.sinks.adoption import Death
from dblog.writing.tally import Losses

LOGGER: Final = "dblog"
_FIELD: Final = COLUMN_NAMES.index("logger_name")


def is_note(row: bytes) -> bool:
    """True for the encoded row of a note."""
    return row.split(b"\t", _FIELD + 1)[_FIELD] == LOGGER.encode()


def of_losses(losses: Losses, writer_id: str) -> logging.LogRecord:
    """Tell how many records of a writer are not in the table, and why."""
    kinds = {"dropped": losses.dropped, "printed": losses.printed, "rejected": losses.rejected}
    parts = [f"{sum(levels.values())} {kind}" for kind, levels in kinds.items() if levels]
    since = datetime.fromtimestamp(losses.since, UTC).isoformat(timespec="seconds")
    return _note(
        f"{losses.records} records since {since} are not in this table: {', '.join(parts)}",
        {
            "event": "losses",
            "writer_id": writer_id,
            "since": since,
            **{kind: _named(levels) for kind, levels in kinds.items()},
        },
    )


def of_death(death: Death) -> logging.LogRecord:
    """Tell what is known of a writer that ended without closing."""
    status = death.status or {}
    waiting = _total(status.get("waiting"))
    durability = "journal" if death.journaled else status.get("durability")
    journaled = durability == "journal"
    known = f" (process {status.get('process_id')} on {status.get('hostname')})" if status else ""
    who = f"writer {death.writer_id}{known}"
    if journaled:
        bound = "what it had taken was in its journal and is delivered"
    elif death.status is None:
        bound = "nothing is known of what waited in its memory"
    else:
        seen = status.get("updated")
        bound = f"lost are at most the {waiting} records in its memory at {seen}, and those that it took later"
    return _note(
        f"{who} ended without closing; {bound}",
        {
            "event": "unclean_end",
            "writer_id": death.writer_id,
            "last_seen": status.get("updated"),
            "durability": durability,
            "emitted": status.get("emitted", {}),
            "recovered": death.left.rows,
            "waiting": 0 if journaled else None if death.status is None else waiting,
        },
    )


def _note(message: str, figures: Mapping[str, object]) -> logging.LogRecord:
    record = logging.LogRecord(LOGGER, logging.WARNING, __file__, 0, message, None, None)
    record.__dict__.update(figures)
    return record


def _named(levels: Mapping[int, int]) -> dict[str, int]:
    return {str(level): count for level, count in sorted(levels.items())}


def _total(levels: object) -> int:
    counts = levels.values() if isinstance(levels, Mapping) else ()
    return sum(count for count in counts if isinstance(count, int))

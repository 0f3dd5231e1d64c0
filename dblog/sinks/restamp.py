"""Another timestamp for rows whose own no partition may have: a frame waited for long, or a clock is wrong."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

from dblog.batch import Batch
from dblog.copytext import NULL

ORIGINAL_KEY: Final = "original_timestamp"
"""Where `extra_data` keeps what the record itself said, in seconds since the epoch."""
_HOUR_WIDTH: Final = len("2026-11-21 05")


def hours_of(batch: Batch) -> set[str]:
    """The hours that the rows of a batch fall into, as PostgreSQL reads a time."""
    place = batch.columns.index("timestamp")
    rows = batch.payload.splitlines()
    return {f"{_field(row, place)[:_HOUR_WIDTH].decode(errors='replace')}:00+00" for row in rows}


def restamped(batch: Batch, hours: Collection[str], now: str) -> Batch:
    """Give the rows that fall into some hours the timestamp `now`, and keep their own one in `extra_data`.

    A row that has the key already keeps what it holds: that is the older statement.
    """
    stamp, extra = batch.columns.index("timestamp"), batch.columns.index("extra_data")
    rows = []
    for row in batch.payload.splitlines():
        fields = row.split(b"\t")
        whole = len(fields) == len(batch.columns) and _hour(fields[stamp]) in hours
        if whole and (seconds := _seconds(fields[stamp])) is not None:
            fields[stamp] = now.encode()
            fields[extra] = _with_original(fields[extra], seconds)
            row = b"\t".join(fields)  # noqa: PLW2901
        rows.append(row)
    stamps = [field for row in rows if _seconds(field := _field(row, stamp)) is not None]
    return replace(
        batch,
        payload=b"\n".join([*rows, b""]),
        time_from=min(stamps).decode() if stamps else None,
        time_to=max(stamps).decode() if stamps else None,
    )


def _field(row: bytes, place: int) -> bytes:
    fields = row.split(b"\t", place + 1)
    return fields[place] if len(fields) > place else b""


def _hour(stamp: bytes) -> str:
    return stamp[:_HOUR_WIDTH].decode(errors="replace") + ":00+00"


def _seconds(stamp: bytes) -> float | None:
    """Seconds since the epoch; None for what is no time: PostgreSQL will refuse it, too."""
    try:
        return datetime.fromisoformat(stamp.decode()).timestamp()
    except (ValueError, OverflowError):
        return None


def _with_original(field: bytes, seconds: float) -> bytes:
    """Put the key first into the object, as text: JSON that was read and written again might not be the same."""
    member = f'"{ORIGINAL_KEY}": "{seconds!r}"'.encode()
    rest = field.strip()
    if rest == NULL.encode() or rest == b"{}":
        return b"{" + member + b"}"
    return b"{" + member + b", " + rest[1:] if rest.startswith(b"{") else field

"""The columns of the old table as SQL that gives the columns of the records; `s` is a row of the old table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dblog import defaults
from dblog.columns import LOG_COLUMNS
from dblog.errors import UsageError
from dblog.store.adopting.source import INTEGERS, ZONED, Source
from dblog.store.quoting import in_calendar, literal, quoted

OLDEST: Final = "2000-01-01 00:00+00"
"""No record of a program is older: what says so has a wrong clock, and would need a partition of its own."""

PARSE: Final = "pg_temp.dblog_adopted_json"
"""The function that turns text into JSON; what is none becomes a string."""

MAKE_PARSE: Final = f"""
CREATE OR REPLACE FUNCTION {PARSE}(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $dblog$
BEGIN
    RETURN given::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN to_jsonb(given);
END
$dblog$
"""

_LEVELS: Final = {
    "NOTSET": 0,
    "TRACE": 5,
    "DEBUG": 10,
    "INFO": 20,
    "NOTICE": 25,
    "SUCCESS": 25,
    "WARN": 30,
    "WARNING": 30,
    "ERROR": 40,
    "CRITICAL": 50,
    "FATAL": 50,
}
"""What names of levels mean, those of widespread libraries included."""
_STANDARD: Final = {0: "NOTSET", 10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_INSTEAD_OF_NULL: Final = {"logger_name": "root", "hostname": "unknown", "message": ""}
_NAMES: Final = frozenset({"logger_name", "service", "hostname", "trace_id", "span_id"})
_NAME_LENGTH: Final = 250
"""Characters of what may stand in an index, whose entries have a limit in bytes."""
_WRITTEN_BY_US: Final = ("writer_id", "batch_seq", "timestamp", "level_no", "level", "extra_data")
_CHUNK: Final = 40
"""Columns of one call; a function takes 100 arguments."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What becomes of one column."""

    value: str
    spilled: str | None = None
    """When the old value does not fit, so that `extra_data` keeps it; None for never."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a row of the old table becomes a record."""

    moment: str
    """The timestamp."""
    values: dict[str, str]
    """The other columns but for the writer and its batch."""
    unmapped: tuple[str, ...]
    """The columns that go into `extra_data`."""


def map_columns(source: Source, zone: str | None, now: datetime) -> Mapping:
    """Find a place for each column.

    Args:
        source: The old table.
        zone: The time zone of times that do not say theirs.
        now: The clock of the server; what is further ahead than a partition may be is stored under another time.

    Raises:
        UsageError: There are such times, and no zone is given.
    """
    if source.unzoned and zone is None:
        columns = " and ".join(source.unzoned)
        raise UsageError(f"{source.title}: {columns} without a time zone; say with --time-zone which one is meant")
    cells = {column.name: _cell(source, column.name, column.type) for column in LOG_COLUMNS if _is_plain(column.name)}
    raw, created = _time(source, "timestamp", zone), _time(source, "created_at", zone)
    latest = literal(now) + f" + interval '{defaults.FUTURE_WINDOW_DAYS} days'"
    believed = f"{{0}} >= '{OLDEST}' AND {{0}} < {latest}"
    fallback = f"CASE WHEN {believed.format(created)} THEN {created} ELSE {literal(now)} END"
    moment = f"CASE WHEN {believed.format(raw)} THEN {raw} ELSE {fallback} END"
    disbelieved = f"CASE WHEN NOT ({believed.format(raw)}) THEN extract(epoch FROM {raw})::text END"
    level_no, level = _level(source)
    known = {"id", "timestamp", "created_at", "level", "level_no", "extra_data", *cells}
    unmapped = tuple(name for name in source.columns if name not in known)
    more = [
        *((name, _plain(source, name)) for name in unmapped),
        *(
            (name, f"CASE WHEN {cell.spilled} THEN s.{quoted(name)} END")
            for name, cell in cells.items()
            if cell.spilled
        ),
        ("original_timestamp", disbelieved),
        ("original_created_at", f"CASE WHEN NOT {in_calendar(created)} THEN {created}::text END"),
    ]
    values = {name: cell.value for name, cell in cells.items()}
    values |= {"level_no": level_no, "level": level, "extra_data": _extra(source, more)}
    values["created_at"] = f"CASE WHEN {in_calendar(created)} THEN {created} ELSE now() END"
    return Mapping(moment, values, unmapped)


def _is_plain(name: str) -> bool:
    return name not in _WRITTEN_BY_US


def _cell(source: Source, name: str, wanted: str) -> Cell:
    default = literal(_INSTEAD_OF_NULL[name]) if name in _INSTEAD_OF_NULL else "NULL"
    kind = source.columns.get(name)
    if kind is None:
        return Cell(default)
    column = f"s.{quoted(name)}"
    if wanted == "text":
        text = f"{column}::text"
        if name in _NAMES:
            return Cell(f"coalesce(left({text}, {_NAME_LENGTH}), {default})", f"length({text}) > {_NAME_LENGTH}")
        return Cell(f"coalesce({text}, {default})")
    if kind in INTEGERS and (wanted == "bigint" or kind != "bigint"):
        return Cell(column)
    digits = f"btrim({column}::text)"
    whole = f"{digits} ~ '^-?[0-9]{{1,{18 if wanted == 'bigint' else 9}}}$'"
    return Cell(f"CASE WHEN {whole} THEN {digits}::{wanted} END", f"{column} IS NOT NULL AND NOT ({whole})")


def _time(source: Source, name: str, zone: str | None) -> str:
    kind = source.columns.get(name)
    if kind == ZONED:
        return f"s.{quoted(name)}"
    if name in source.unzoned:
        return f"(s.{quoted(name)}::timestamp AT TIME ZONE {literal(zone)})"
    return "NULL::timestamptz"


def _level(source: Source) -> tuple[str, str]:
    """The number of the level, and its name: as Python has them, or else as they are."""
    beside = "s.level_no" if source.columns.get("level_no") in INTEGERS - {"bigint"} else "0"
    if "level" not in source.columns:
        number = f"coalesce({beside}, 0)"
        return number, _name_of(number)
    text = "btrim(s.level::text)"
    digits = f"substring({text} FROM '^(?:[Ll]evel )?([0-9]{{1,9}})(?:[.]0*)?$')"
    numbers = " ".join(f"WHEN {literal(name)} THEN {number}" for name, number in _LEVELS.items())
    number = f"coalesce(CASE upper({text}) {numbers} ELSE {digits}::integer END, {beside}, 0)"
    names = " ".join(
        f"WHEN {literal(name)} THEN {literal(_STANDARD.get(value, name))}" for name, value in _LEVELS.items()
    )
    own = f"CASE WHEN {digits} IS NULL THEN left(nullif({text}, ''), 50) END"
    return number, f"CASE upper({text}) {names} ELSE coalesce({own}, {_name_of(number)}) END"


def _name_of(number: str) -> str:
    cases = " ".join(f"WHEN {value} THEN {literal(name)}" for value, name in _STANDARD.items())
    return f"CASE {number} {cases} ELSE 'Level ' || ({number}) END"


def _plain(source: Source, name: str) -> str:
    """A column as a value for JSON; of the type json some texts cannot be stored as jsonb."""
    column = f"s.{quoted(name)}"
    return f"{PARSE}({column}::text)" if source.columns[name] == "json" else column


def _extra(source: Source, more: Sequence[tuple[str, str]]) -> str:
    """What `extra_data` holds: its own keys, and what has no column; NULL where there is nothing."""
    parts = [f"jsonb_build_object({', '.join(_members(more[at : at + _CHUNK]))})" for at in range(0, len(more), _CHUNK)]
    some = " OR ".join(f"{value} IS NOT NULL" for _, value in more)
    found = f"SELECT jsonb_object_agg(key, value) FROM jsonb_each({' || '.join(parts)}) WHERE value <> 'null'"
    others = f"CASE WHEN {some} THEN ({found}) END"
    kind = source.columns.get("extra_data")
    if kind is None:
        return others
    data = "s.extra_data" if kind == "jsonb" else f"{PARSE}(s.extra_data::text)"
    shaped = (
        f"CASE WHEN {data} IS NULL OR {data} = 'null' THEN '{{}}' WHEN jsonb_typeof({data}) = 'object' THEN {data} "
        f"ELSE jsonb_build_object('extra_data', {data}) END"
    )
    return f"nullif(coalesce({others}, '{{}}') || {shaped}, '{{}}')"


def _members(more: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in more:
        yield f"{literal(name)}, {value}"

r"""Rows as COPY reads them, back as values: what is not in the table yet is shown like what is.

The format is the text format of COPY: fields between tabs, `\N` for NULL, a backslash before what is escaped.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from dblog.columns import LOG_COLUMNS, SERVER_COLUMNS
from dblog.copytext import unescape

_TYPES: Final = {column.name: column.type for column in LOG_COLUMNS}
_ABSENT: Final[dict[str, Any]] = {
    **{column.name: None for column in (*LOG_COLUMNS, *SERVER_COLUMNS)},
    **{column.name: "" for column in LOG_COLUMNS if column.type == "text" and not column.nullable},
    "level_no": 0,
}
"""What stands for a column that the rows of another release do not have."""


def decode(line: bytes, columns: Sequence[str]) -> dict[str, Any]:
    """The values of a row by the names of its columns.

    Numbers are `int`, times `datetime`, `extra_data` what its JSON says; a column that this release does not know is
    text.

    Args:
        line: The row, with or without its newline.
        columns: What its fields are.

    Raises:
        ValueError: It is no such row.
    """
    fields = line.removesuffix(b"\n").decode().split("\t")
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} fields where {len(columns)} belong")
    return {name: _value(_TYPES.get(name, "text"), field) for name, field in zip(columns, fields, strict=True)}


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a stand-in for each column of this release's table that they lack."""
    return _ABSENT | values


def _value(kind: str, field: str) -> Any:
    if field == "\\N":
        return None
    text = unescape(field)
    if kind in ("integer", "bigint"):
        return int(text)
    if kind == "timestamptz":
        return datetime.fromisoformat(text)
    return _json(text) if kind == "jsonb" else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None

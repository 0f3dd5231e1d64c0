"""From a filter to a condition on `{prefix}_logs`; all values become parameters, only `*` is a wildcard."""

import json
import operator
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from dblog.reading.fields import Field, Kind
from dblog.reading.terms import (
    Comparison,
    Conjunction,
    Disjunction,
    Filter,
    Negation,
    Phrase,
    Value,
    is_number,
    is_whole_number,
    level_number,
)

Condition = sa.ColumnElement[bool]

_ORDER: Final = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


def condition(term: Filter, logs: sa.FromClause) -> Condition:
    """The condition that a row of `logs` fulfils if the filter selects it."""
    match term:
        case Phrase(text):
            pattern = f"%{_escaped(text)}%"
            return sa.or_(logs.c.message.ilike(pattern), logs.c.exception.ilike(pattern))
        case Comparison(field, "=", values):
            return sa.or_(*(_equal(field, value, logs) for value in values))
        case Comparison(field, sign, values):
            return _ordered(field, sign, values[0], logs)
        case Negation(inner):
            return condition(inner, logs).is_not(sa.true())  # a NULL is not what was asked to be left out
        case Conjunction(terms):
            return sa.and_(sa.true(), *(condition(inner, logs) for inner in terms))
        case Disjunction(terms):
            return sa.or_(*(condition(inner, logs) for inner in terms))


def _equal(field: Field, value: Value, logs: sa.FromClause) -> Condition:
    column = logs.c[field.column]
    if field.kind is Kind.EXTRA:
        return _equal_in_extra(column, field.path, value)
    if value.any:
        return column.is_not(None)
    match field.kind:
        case Kind.NUMBER:
            return column == _number(value.text)
        case Kind.LEVEL:
            return _equal_level(value, logs)
        case Kind.LOGGER if value.wild and value.text.endswith(".*"):
            return sa.or_(_same(column, Value(value.text[:-2])), _same(column, value))
        case Kind.SEARCH if field.column == "exception":
            return sa.or_(_same(logs.c.exception_type, value), _contains(column, value))
        case Kind.SEARCH:
            return _contains(column, value)
        case Kind.UUID:
            return _equal_uuid(column, value)
    return _same(column, value)


def _equal_level(value: Value, logs: sa.FromClause) -> Condition:
    """A known name stands for its number, since applications rename levels, and the index of warnings is on numbers."""
    number = None if value.wild else level_number(value.text)
    if number is not None:
        return logs.c.level_no == _number(str(number))
    return sa.or_(_same(logs.c.level, value), _same(logs.c.level, Value(value.text.upper(), value.quoted)))


def _equal_uuid(column: sa.ColumnElement[Any], value: Value) -> Condition:
    if value.wild:
        return _same(sa.cast(column, sa.Text), Value(value.text.lower()))
    return column == sa.literal(UUID(value.text), sa.Uuid())


def _ordered(field: Field, sign: str, value: Value, logs: sa.FromClause) -> Condition:
    compare = _ORDER[sign]
    found: Condition
    match field.kind:
        case Kind.LEVEL:
            found = compare(logs.c.level_no, _number(str(level_number(value.text))))
        case Kind.EXTRA:
            found = compare(_as_number(_in_extra(logs.c.extra_data, field.path)), _decimal(value.text))
        case _:
            found = compare(logs.c[field.column], _number(value.text))
    return found


def _equal_in_extra(column: sa.ColumnElement[Any], path: tuple[str, ...], value: Value) -> Condition:
    found = _in_extra(column, path)
    if value.any:
        return found.is_not(None)
    equal = _same(_as_text(found), value)
    if not value.quoted and is_number(value.text):
        equal = sa.or_(equal, _as_number(found) == _decimal(value.text))
    contained = _contained(column, path, value)
    return equal if contained is None else sa.and_(contained, equal)


def _contained(column: sa.ColumnElement[Any], path: tuple[str, ...], value: Value) -> Condition | None:
    """What is true of every equal value and soon answered: PostgreSQL has statistics about it, and may have an index.

    None where there is no such condition: for wildcards, for arrays, whose elements `#>` finds by their number, and for
    values that may be arrays or objects.
    """
    by_number = any(is_whole_number(key) for key in path)
    if value.wild or by_number or value.text[:1] in ("[", "{"):
        return None
    leaves = [json.dumps(value.text)]
    if is_number(value.text):
        leaves.append(f"{Decimal(value.text):f}")
    elif value.text in ("true", "false"):
        leaves.append(value.text)
    documents = (_nested(keys, leaf) for keys in sorted({path, (".".join(path),)}) for leaf in leaves)
    return sa.or_(*(column.contains(sa.cast(sa.literal(document, sa.Text()), column.type)) for document in documents))


def _nested(keys: Sequence[str], leaf: str) -> str:
    """A JSON object with one value, below those keys."""
    for key in reversed(keys):
        leaf = f"{{{json.dumps(key)}: {leaf}}}"
    return leaf


def _in_extra(column: sa.ColumnElement[Any], path: tuple[str, ...]) -> sa.ColumnElement[Any]:
    """The JSON value that the keys lead to; `extra.http.status` also finds the key "http.status"."""
    nested = _follow(column, path)
    return nested if len(path) == 1 else sa.func.coalesce(nested, _follow(column, (".".join(path),)))


def _follow(column: sa.ColumnElement[Any], path: tuple[str, ...]) -> sa.ColumnElement[Any]:
    return column.op("#>", return_type=column.type)(sa.literal(list(path), ARRAY(sa.Text)))


def _as_text(found: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return found.op("#>>", return_type=sa.Text())(sa.literal([], ARRAY(sa.Text)))


def _as_number(found: sa.ColumnElement[Any]) -> sa.ColumnElement[Decimal]:
    """The number, or NULL for anything else: without the CASE, the cast of a text would end the query."""
    return sa.case((sa.func.jsonb_typeof(found) == "number", sa.cast(_as_text(found), sa.Numeric)))


def _same(column: sa.ColumnElement[Any], value: Value) -> Condition:
    if value.any:
        return column.is_not(None)
    return column.like(_pattern(value)) if value.wild else column == sa.literal(value.text, sa.Text())


def _contains(column: sa.ColumnElement[Any], value: Value) -> Condition:
    return column.ilike(f"%{_pattern(value)}%")


def _pattern(value: Value) -> str:
    return _escaped(value.text) if value.quoted else _escaped(value.text).replace("*", "%")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _decimal(text: str) -> sa.ColumnElement[Decimal]:
    return sa.literal(Decimal(text), sa.Numeric())


def _number(text: str) -> sa.ColumnElement[int]:
    return sa.literal(int(text), sa.BigInteger())

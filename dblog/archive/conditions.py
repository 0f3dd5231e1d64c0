"""From a filter to a condition of DuckDB: the same rows as `dblog.reading.conditions` selects in PostgreSQL.

All values become parameters, only `*` is a wildcard. JSON is text to the archive, and DuckDB takes its numbers for
double precision where they are compared; whole numbers are compared with all their digits.
"""

from typing import Any, Final
from uuid import UUID

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


class Renderer:
    """Writes one condition; `parameters` are its values, by their number from 1."""

    def __init__(self) -> None:
        self.parameters: Final[list[Any]] = []

    def condition(self, term: Filter) -> str:
        """The condition that a row fulfils if the filter selects it."""
        match term:
            case Phrase(text):
                return self._contains(("message", "exception"), _escaped(text))
            case Comparison(field, "=", values):
                return _any(self._equal(field, value) for value in values)
            case Comparison(field, sign, values):
                return self._ordered(field, sign, values[0])
            case Negation(inner):
                return f"({self.condition(inner)}) IS NOT TRUE"  # a NULL is not what was asked to be left out
            case Conjunction(terms):
                return " AND ".join(["true", *(f"({self.condition(inner)})" for inner in terms)])
            case Disjunction(terms):
                return _any(self.condition(inner) for inner in terms)

    def value(self, value: Any) -> str:
        """A parameter."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def _equal(self, field: Field, value: Value) -> str:
        column = _quoted(field.column)
        if field.kind is Kind.EXTRA:
            return self._equal_in_extra(field.path, value)
        if value.any:
            return f"{column} IS NOT NULL"
        match field.kind:
            case Kind.NUMBER:
                return f"{column} = {self.value(int(value.text))}"
            case Kind.LEVEL:
                return self._equal_level(value)
            case Kind.LOGGER if value.wild and value.text.endswith(".*"):
                return _any((self._same(column, Value(value.text[:-2])), self._same(column, value)))
            case Kind.SEARCH if field.column == "exception":
                return _any((self._same("exception_type", value), self._contains((column,), _pattern(value))))
            case Kind.SEARCH:
                return self._contains((column,), _pattern(value))
            case Kind.UUID:
                text = value.text.lower() if value.wild else str(UUID(value.text))
                return self._same(column, Value(text))
        return self._same(column, value)

    def _equal_level(self, value: Value) -> str:
        number = None if value.wild else level_number(value.text)
        if number is not None:
            return f"level_no = {self.value(number)}"
        upper = Value(value.text.upper(), value.quoted)
        return _any((self._same('"level"', value), self._same('"level"', upper)))

    def _ordered(self, field: Field, sign: str, value: Value) -> str:
        match field.kind:
            case Kind.LEVEL:
                return f"level_no {sign} {self.value(level_number(value.text))}"
            case Kind.EXTRA:
                return self._compared(self._in_extra(field.path), sign, value.text)
        return f"{_quoted(field.column)} {sign} {self.value(int(value.text))}"

    def _equal_in_extra(self, path: tuple[str, ...], value: Value) -> str:
        found = self._in_extra(path)
        if value.any:
            return f"{found} IS NOT NULL"
        text = self._same(f"({found} ->> '$')", value)
        if value.quoted or not is_number(value.text):
            return text
        return _any((text, self._compared(found, "=", value.text)))

    def _in_extra(self, path: tuple[str, ...]) -> str:
        """The JSON value that the keys lead to, or that one key with dots has."""
        paths = [path] if len(path) == 1 else [path, (".".join(path),)]
        found = [f"json_extract(extra_data, {self.value(_pointer(keys))})" for keys in paths]
        return f"coalesce({', '.join(found)})"

    def _compared(self, found: str, sign: str, text: str) -> str:
        """A comparison of numbers, which nothing but a number passes."""
        exact = is_whole_number(text)
        kind = "DECIMAL(38, 0)" if exact else "DOUBLE"
        is_number_ = f"json_type({found}) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')"
        other = f"CAST({self.value(text)} AS {kind})"
        double = f"TRY_CAST({found} ->> '$' AS DOUBLE) {sign} CAST({other} AS DOUBLE)"
        if not exact:
            return f"({is_number_} AND {double})"
        is_whole = f"json_type({found}) IN ('BIGINT', 'UBIGINT', 'HUGEINT')"
        return (
            f"CASE WHEN {is_whole} THEN TRY_CAST({found} ->> '$' AS {kind}) {sign} {other} "
            f"WHEN {is_number_} THEN {double} END"
        )

    def _same(self, column: str, value: Value) -> str:
        if value.any:
            return f"{column} IS NOT NULL"
        if value.wild:
            return f"{column} LIKE {self.value(_pattern(value))} ESCAPE '\\'"
        return f"{column} = {self.value(value.text)}"

    def _contains(self, columns: tuple[str, ...], pattern: str) -> str:
        wanted = self.value(f"%{pattern}%")
        return _any(f"{column} ILIKE {wanted} ESCAPE '\\'" for column in columns)


def _any(conditions: Any) -> str:
    return " OR ".join(f"({condition})" for condition in conditions)


def _quoted(column: str) -> str:
    return f'"{column}"'


def _pointer(keys: tuple[str, ...]) -> str:
    """A JSON pointer, which leads through objects and arrays alike."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _pattern(value: Value) -> str:
    return _escaped(value.text) if value.quoted else _escaped(value.text).replace("*", "%")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

"""Names and values as parts of SQL that is run or printed as it stands."""

from psycopg import sql


def quoted(name: str) -> str:
    """A name as an identifier."""
    return sql.Identifier(name).as_string(None)


def literal(value: object) -> str:
    """A text, a number or a time as a constant."""
    return sql.Literal(value).as_string(None)


def in_calendar(moment: str) -> str:
    """The condition that a time is of the years 1 to 9999: PostgreSQL has others, and infinity, that Python lacks."""
    return f"({moment} >= '0001-01-01 00:00+00' AND {moment} < '10000-01-01 00:00+00')"

"""Names and values as parts of SQL that is run or printed as it stands."""

from psycopg import sql


def quoted(name: str) -> str:
    """A name as an identifier."""
    return sql.Identifier(name).as_string(None)


def literal(value: object) -> str:
    """A text, a number or a time as a constant."""
    return sql.Literal(value).as_string(None)

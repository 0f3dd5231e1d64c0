"""What went wrong in PostgreSQL, by SQLSTATE and never by the driver's text, which may quote passwords and rows."""

from enum import Enum

import psycopg


class Fault(Enum):
    """What a failure means for a batch."""

    UNREACHABLE = "unreachable"
    """The server, or the way to it, is away for a while: keep the batch, try again."""
    OPERATOR = "operator"
    """Somebody has to act first (rights, a missing table, a password): keep the batch, try again slowly."""
    NO_PARTITION = "no partition"
    """No partition holds the timestamp of a row: make it, try again."""
    BAD_DATA = "bad data"
    """PostgreSQL refuses a row: find it, set it aside, deliver the others."""


_MEANINGS = {
    "08": "the connection failed",
    "0A": "the server does not support what was asked",
    "22": "a value was refused",
    "23": "a constraint refused a row",
    "25006": "the server is read-only",
    "28": "the server refused the role or its password",
    "3D000": "the database does not exist",
    "3F000": "the schema does not exist",
    "40": "the transaction was rolled back",
    "42501": "the role lacks a right",
    "42703": "a column is missing: the table is of another version",
    "42883": "a function is missing: the tables were not made by `dblog init`",
    "42P01": "the table does not exist: run `dblog init`",
    "53": "the server is out of resources",
    "53100": "the server's disk is full",
    "53300": "the server has no free connection",
    "54": "a limit of the server was exceeded",
    "55P03": "a lock could not be had in time",
    "57014": "the statement ran into its time limit",
    "57P": "the server is shutting down or starting up",
    "58": "the server's system failed",
    **dict.fromkeys(("09", "21", "27", "2F", "38", "39", "P0"), "a trigger refused a row"),
    "XX": "the server reported an internal error",
}

_HINTS = (
    ("could not translate host name", "the name of the host cannot be resolved"),
    ("failed to resolve host", "the name of the host cannot be resolved"),
    ("too many connections", "the server, the database or the role has no free connection"),
    ("too many clients", "the server has no free connection"),
    ("connection slots are reserved", "the server has no free connection"),
    ("the database system is", "the server is shutting down, starting up or in recovery"),
    ("pg_hba.conf", "the server's pg_hba.conf does not let this role in from here"),
    ("definition of service", "the service is not defined"),
    ("invalid port number", "the port of the connection string is none"),
    ("invalid sslmode value", "the sslmode of the connection string is none"),
    ("does not support SSL", "the server does not support the SSL that the connection string asks for"),
    ("root certificate file", "the root certificate for sslmode cannot be used"),
    ("session is read-only", "the server is read-only, target_session_attrs asks for another"),
    ("session is not read-only", "the server is not read-only, target_session_attrs asks for that"),
    ("command-line argument", "the options of the connection string are not understood"),
)
"""What libpq says, in English, of connections that fail; only to describe them, nothing is decided by it."""

_BAD_DATA_CLASSES = ("09", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0")
_OPERATOR_CLASSES = ("0A", "28", "3D", "3F", "42")
_OWN_CLASSES = tuple("6789IJKLMNOPQRSTUVWXYZ")
"""Classes that the SQL standard leaves to implementations, and so to triggers that make up a SQLSTATE."""
_RAISE = "exec_stmt_raise"
"""The function of the server that carries out PL/pgSQL's RAISE; unlike a message it is the same in all languages."""
_READ_ONLY = "25006"


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of a psycopg error, or of the psycopg error that SQLAlchemy wrapped."""
    original = getattr(error, "orig", None)
    state = getattr(original if original is not None else error, "sqlstate", None)
    return state if isinstance(state, str) else None


def classify(error: BaseException) -> Fault:
    """What a failure of a delivery means for its batch."""
    state = sqlstate_of(error)
    if state is None:
        refused = isinstance(error, (psycopg.DataError, UnicodeError))
        return Fault.BAD_DATA if refused else Fault.UNREACHABLE
    if state == "23514" and isinstance(error, psycopg.Error) and not error.diag.constraint_name:
        return Fault.NO_PARTITION
    if state.startswith(_BAD_DATA_CLASSES) or _is_made_up(error):
        return Fault.BAD_DATA
    return Fault.OPERATOR if state.startswith(_OPERATOR_CLASSES) else Fault.UNREACHABLE


def needs_new_session(error: BaseException) -> bool:
    """True where only a new session may do better: it sees new settings of the role, other hosts, other tables."""
    return classify(error) is Fault.OPERATOR or sqlstate_of(error) == _READ_ONLY


def _is_made_up(error: BaseException) -> bool:
    """True where a trigger raised a SQLSTATE that PostgreSQL does not know."""
    state = sqlstate_of(error) or ""
    unknown = state.startswith(_OWN_CLASSES) and state[:2] not in _MEANINGS
    return unknown and isinstance(error, psycopg.Error) and error.diag.source_function == _RAISE


def describe(error: BaseException) -> str:
    """One line that is safe to show: what the SQLSTATE means, or the kind of the failure."""
    state = sqlstate_of(error)
    if state is None:
        return _describe_connection(error)
    meaning = next((_MEANINGS[state[:length]] for length in (5, 3, 2) if state[:length] in _MEANINGS), "refused")
    return f"{meaning} (SQLSTATE {state})"


def describe_refusal(error: psycopg.Error) -> str:
    """Why a row was refused: what its SQLSTATE means, and the constraint, column and table that the server names."""
    if classify(error) is Fault.NO_PARTITION:
        return "no partition holds its timestamp (SQLSTATE 23514)"
    about = {"constraint": error.diag.constraint_name, "column": error.diag.column_name, "table": error.diag.table_name}
    named = ", ".join(f"{kind} {name}" for kind, name in about.items() if name)
    return f"{describe(error)}: {named}" if named else describe(error)


def _describe_connection(error: BaseException) -> str:
    """Say why there is no connection, which carries no SQLSTATE; the driver's words are looked at, never shown."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, TimeoutError | psycopg.errors.ConnectionTimeout):
        return "no answer within the time limit"
    if isinstance(original, psycopg.DataError):
        return _MEANINGS["22"]
    if hint := next((meaning for words, meaning in _HINTS if words in str(original)), None):
        return hint
    pgconn = getattr(original, "pgconn", None)
    if pgconn is not None and pgconn.needs_password:
        return "the server asks for a password and none was given"
    if pgconn is not None and pgconn.used_password:
        return "the server refused the connection after the password was sent: wrong role, password or database?"
    if isinstance(original, OSError) and original.strerror:
        return original.strerror
    known = isinstance(original, psycopg.Error)
    return "no connection to the server" if known else f"unexpected {type(original).__name__}"

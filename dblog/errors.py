"""The exceptions of dblog.

DblogError
├── ConfigurationError     a setting is wrong; names the key, the value and what is accepted
├── DatabaseError          PostgreSQL could not be used; says what to do about it
│   ├── Unreachable        no connection, or the connection was lost
│   └── NotMigrated        the tables are missing or of another version
└── UsageError             a filter, a time or an argument of a command cannot be understood
"""


class DblogError(Exception):
    """Something that dblog reports in one line, without a traceback."""


class ConfigurationError(DblogError, ValueError):
    """Settings that cannot be used: one line for each mistake."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class DatabaseError(DblogError):
    """PostgreSQL refused what was asked of it."""


class Unreachable(DatabaseError):  # noqa: N818 - reads as what it says
    """PostgreSQL could not be reached."""


class NotMigrated(DatabaseError):  # noqa: N818 - reads as what it says
    """The tables of this prefix are missing or of another version: run `dblog init`."""


class UsageError(DblogError, ValueError):
    """A filter, a time or an argument that cannot be understood."""

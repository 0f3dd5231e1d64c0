"""What the values in settings may be: the types that the sections of `config.yml` and the handlers share."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from dblog import spooldir
from dblog.copytext import is_storable
from dblog.defaults import LONGEST_RETENTION_DAYS


def _level(value: object) -> int:
    """Turn a level's name or number into its number; names that the application added are known, too."""
    names = logging.getLevelNamesMapping()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        if value.strip().upper() in names:
            return names[value.strip().upper()]
        if value in names:
            return names[value]
        if value.strip().isdecimal():
            return int(value)
    known = ", ".join(sorted(names, key=names.__getitem__))
    raise ValueError(f"is not a level; accepted: {known}, or a number from 0")


def _table_prefix(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,31}", value):
        raise ValueError("must be 1 to 32 of a-z, 0-9 and _, and not begin with a digit")
    return value


def _schema_name(value: str) -> str:
    if not value or "\0" in value or len(value.encode()) > 63 or value.startswith("pg_"):
        raise ValueError("must be the name of a schema: 1 to 63 bytes, not beginning with pg_")
    return value


def _text(value: str) -> str:
    if not is_storable(value):
        raise ValueError("must not have NUL characters or lone surrogates")
    return value


def _text_format(value: str) -> str:
    """Try a format, which would else lose each record; fields that the application's record factory adds are known."""
    record = logging.makeLogRecord({"name": "dblog", "levelno": logging.INFO, "levelname": "INFO", "msg": "a line"})
    try:
        logging.Formatter(value).format(record)
    except (ValueError, TypeError) as error:
        raise ValueError(f"is no format for a record: {error}; accepted: as in %(levelname)s %(message)s") from None
    return value


def _spool_dir(value: object) -> object:
    """Take a path for its text; in Python None is a natural way to say none."""
    if value is None:
        return spooldir.NONE
    return str(value) if isinstance(value, Path) else value


def _each_once(value: object, make: ValidatorFunctionWrapHandler) -> object:
    """Refuse a level that is named twice, by its name and by its number, for one of the two would win silently."""
    made: dict[int, int] = make(value)
    if isinstance(value, Mapping) and len(made) < len(value):
        raise ValueError("must name each level once")
    return made


def _dsn(value: SecretStr) -> SecretStr:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(value.get_secret_value())
    except ProgrammingError:  # its text may quote a part of the password
        raise ValueError(
            "is not a connection string; accepted: postgresql://user@host:port/name or host=... dbname=..."
        ) from None
    return value


Dsn = Annotated[SecretStr, AfterValidator(_dsn)]
Level = Annotated[int, BeforeValidator(_level)]
TablePrefix = Annotated[str, AfterValidator(_table_prefix)]
SchemaName = Annotated[str, AfterValidator(_schema_name)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_text)]
TextFormat = Annotated[Text, AfterValidator(_text_format)]
Days = Annotated[StrictInt, Field(ge=1, le=LONGEST_RETENTION_DAYS)]
DaysByLevel = Annotated[dict[Level, Days], WrapValidator(_each_once)]
DaysByLogger = dict[Text, Days]
Overflow = Literal["spool", "block", "drop"]
Durability = Literal["memory", "journal"]
SpoolDir = Annotated[str, StringConstraints(min_length=1), AfterValidator(_text), BeforeValidator(_spool_dir)]
Fsync = Literal["never", "interval", "always"]
IndexProfile = Literal["minimal", "standard", "full"]


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, defaults validated like everything else.

    A section is built when it is first used, because a program needs but a few of them: see `validation.validated`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, populate_by_name=True, defer_build=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `true` where a number belongs: YAML reads `on` and `yes` as true, and true counts as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(
                "is no value for this key; accepted: a number or text, not true, false, on, off, yes or no"
            )
        return value

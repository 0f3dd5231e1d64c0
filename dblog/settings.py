"""The settings: frozen, validated, one class for each section of `config.yml`.

`Settings` is the whole file, `HandlerSettings` what a `DatabaseLogHandler` is given. Loading, environment variables
and the wording of errors are in `dblog.config`.
"""

import logging
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dblog import defaults, spooldir
from dblog.copytext import is_storable
from dblog.periods import PartitionBy


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


def _spool_dir(value: object) -> object:
    """Take a path for its text; in Python None is a natural way to say none."""
    if value is None:
        return spooldir.NONE
    return str(value) if isinstance(value, Path) else value


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
Overflow = Literal["spool", "block", "drop"]
Durability = Literal["memory", "journal"]
SpoolDir = Annotated[str, StringConstraints(min_length=1), AfterValidator(_text), BeforeValidator(_spool_dir)]
Fsync = Literal["never", "interval", "always"]
IndexProfile = Literal["minimal", "standard", "full"]


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, defaults validated like everything else."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `true` where a number belongs: YAML reads `on` and `yes` as true, and true counts as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(
                "is no value for this key; accepted: a number or text, not true, false, on, off, yes or no"
            )
        return value


class TableSettings(Section):
    """Where the rows go and how the tables are kept."""

    table_prefix: TablePrefix = defaults.TABLE_PREFIX
    schema_name: SchemaName | None = Field(default=None, alias="schema")
    """None: the first schema of the role's search_path."""
    auto_create: bool = True
    """Create and upgrade the tables at the first connection where the role may."""
    partition_by: PartitionBy = defaults.PARTITION_BY
    partitions_ahead: int = Field(default=defaults.PARTITIONS_AHEAD, ge=1, le=366)
    indexes: IndexProfile = defaults.INDEXES
    connect_timeout: Seconds = defaults.CONNECT_TIMEOUT
    query_timeout: Seconds = defaults.QUERY_TIMEOUT


class DeliverySettings(Section):
    """How records are gathered and brought to the database."""

    level: Level = logging.NOTSET
    batch_size: int = Field(default=defaults.BATCH_SIZE, ge=1, le=1_000_000)
    batch_bytes: ByteSize = Field(default=ByteSize(defaults.BATCH_BYTES), ge=1024, le=256 * 1024 * 1024)
    flush_interval: Seconds = defaults.FLUSH_INTERVAL
    queue_max_bytes: ByteSize = Field(default=ByteSize(defaults.QUEUE_MAX_BYTES), ge=64 * 1024)
    overflow: Overflow = "spool"
    block_timeout: Seconds = defaults.BLOCK_TIMEOUT
    close_timeout: Seconds = defaults.CLOSE_TIMEOUT
    max_field_bytes: ByteSize = Field(default=ByteSize(defaults.MAX_FIELD_BYTES), ge=256, le=64 * 1024 * 1024)
    mask_keys: tuple[Text, ...] = defaults.MASK_KEYS
    durability: Durability = defaults.DURABILITY
    spool_dir: SpoolDir = defaults.SPOOL_DIR
    spool_max_bytes: ByteSize = Field(default=ByteSize(defaults.SPOOL_MAX_BYTES), ge=64 * 1024)
    spool_min_free: ByteSize = Field(default=ByteSize(defaults.SPOOL_MIN_FREE), ge=0)
    spool_fsync: Fsync = defaults.SPOOL_FSYNC

    @model_validator(mode="after")
    def _journal_needs_a_folder(self) -> "DeliverySettings":
        if self.durability == "journal" and self.spool_dir == spooldir.NONE:
            raise ValueError("durability journal needs a folder: spool_dir must be auto or a path, not none")
        return self


class HandlerSettings(TableSettings, DeliverySettings):
    """Everything that a `DatabaseLogHandler` takes."""

    dsn: Dsn = SecretStr("")
    service: Text | None = None
    console_level: Level | None = None


class ConsoleSettings(Section):
    """`logging.console`: the lines on the terminal."""

    enabled: bool = True
    level: Level = logging.NOTSET
    format: Text = defaults.CONSOLE_FORMAT
    stream: Literal["stderr", "stdout"] = "stderr"

    @model_validator(mode="after")
    def _format_is_known(self) -> "ConsoleSettings":
        logging.Formatter(self.format)
        return self


class DatabaseLogSettings(DeliverySettings):
    """`logging.database`: what goes to the database, and for how long it stays."""

    enabled: bool = True
    retention_days: int = Field(default=defaults.RETENTION_DAYS, ge=1, le=36_500)


class LoggingSettings(Section):
    """`logging`."""

    level: Level = logging.DEBUG
    service: Text | None = None
    capture_warnings: bool = True
    components: dict[Text, Level] = Field(default_factory=dict)
    console: ConsoleSettings = ConsoleSettings()
    database: DatabaseLogSettings = DatabaseLogSettings()


class DatabaseSettings(TableSettings):
    """`database`: the server, the role and the tables."""

    dsn: Dsn | None = None
    host: Text | None = None
    port: int | None = Field(default=None, ge=1, le=65_535)
    username: Text | None = None
    password: SecretStr | None = None
    database: Text | None = None

    @model_validator(mode="after")
    def _one_way_to_say_where(self) -> "DatabaseSettings":
        both = [key for key in ("host", "port", "username", "database") if getattr(self, key) is not None]
        if self.dsn is not None and both:
            raise ValueError(f"dsn and {', '.join(both)} exclude each other: put all into dsn, or give none")
        return self

    def conninfo(self) -> str:
        """The libpq connection string; what is not set is left to `PG*` variables, `PGSERVICE` and libpq."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            self.dsn.get_secret_value() if self.dsn else "",
            host=self.host,
            port=self.port,
            user=self.username,
            password=self.password.get_secret_value() if self.password else None,
            dbname=self.database,
        )


class Settings(Section):
    """The whole of `config.yml`."""

    logging: LoggingSettings = LoggingSettings()
    database: DatabaseSettings = DatabaseSettings()

    def handler_settings(self) -> HandlerSettings:
        """What the database handler takes of these settings."""
        chosen = self.logging.database.model_dump(exclude={"enabled", "retention_days"})
        tables = self.database.model_dump(include=set(TableSettings.model_fields))
        return HandlerSettings(
            dsn=SecretStr(self.database.conninfo()), service=self.logging.service, **chosen, **tables
        )

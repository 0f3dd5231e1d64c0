"""The settings: frozen, validated, one class for each section of `config.yml`.

`Settings` is the whole file, `HandlerSettings` what a `DatabaseLogHandler` is given. Loading, environment variables
and the wording of errors are in `dblog.config`.
"""

import logging
from typing import Literal

from pydantic import ByteSize, Field, SecretStr, model_validator

from dblog import defaults, spooldir
from dblog.fields import (
    DaysByLevel,
    DaysByLogger,
    Dsn,
    Durability,
    Fsync,
    IndexProfile,
    Level,
    Overflow,
    SchemaName,
    Seconds,
    Section,
    SpoolDir,
    TablePrefix,
    Text,
    TextFormat,
)
from dblog.files.settings import FileLogSettings
from dblog.periods import PartitionBy
from dblog.validation import validated


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
    format: TextFormat = defaults.CONSOLE_FORMAT
    stream: Literal["stderr", "stdout"] = "stderr"


class RetentionSettings(Section):
    """`logging.database.retention`: what is kept for another number of days than `retention_days`."""

    levels: DaysByLevel = Field(default_factory=dict)
    loggers: DaysByLogger = Field(default_factory=dict)


class KeepingSettings(Section):
    """For how long records stay, and who sees to it; the handler itself takes nothing of this."""

    enabled: bool = True
    retention_days: int = Field(default=defaults.RETENTION_DAYS, ge=1, le=defaults.LONGEST_RETENTION_DAYS)
    retention: RetentionSettings = RetentionSettings()
    max_bytes: ByteSize | None = Field(default=None, ge=1)
    archive: Text | None = None
    maintain_every: Seconds | None = None


class DatabaseLogSettings(DeliverySettings, KeepingSettings):
    """`logging.database`: what goes to the database, and for how long it stays."""


class LoggingSettings(Section):
    """`logging`."""

    level: Level = logging.DEBUG
    service: Text | None = None
    capture_warnings: bool = True
    components: dict[Text, Level] = Field(default_factory=dict)
    console: ConsoleSettings = ConsoleSettings()
    file: FileLogSettings = FileLogSettings()
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
        chosen = self.logging.database.model_dump(exclude=set(KeepingSettings.model_fields))
        tables = self.database.model_dump(include=set(TableSettings.model_fields))
        own = {"dsn": SecretStr(self.database.conninfo()), "service": self.logging.service}
        return validated(HandlerSettings, {**own, **chosen, **tables})

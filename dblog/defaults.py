"""Every default that a user can feel, with its unit and the reason for its value.

The handler's signature, the settings and the documentation all take their numbers from here.
"""

from typing import Final

TABLE_PREFIX: Final = "dblog"

BATCH_SIZE: Final = 10_000
"""Records. Each wake-up of the worker can cost the application 5 ms of the interpreter lock, so under load
batches are large; beyond 10,000 rows a COPY does not get measurably faster."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one batch. Bounds the memory of a COPY when records are large."""

FLUSH_INTERVAL: Final = 1.0
"""Seconds a record may wait for company. A row of the ledger per batch and process costs about 150 bytes, so a quiet
process must not write ten of them a second; a person who tails the table hardly notices one second."""

URGENT_INTERVAL: Final = 0.1
"""Seconds a record of level ERROR or above may wait: enough to take its companions of the same failure along."""

QUEUE_MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of encoded records in memory: about 150,000 ordinary records, more than a second at full speed."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for one connection attempt."""

QUERY_TIMEOUT: Final = 30.0
"""Seconds for one batch, after which the connection is given up: a COPY of 10,000 rows takes about 0.1 s."""

BLOCK_TIMEOUT: Final = 1.0
"""Seconds a logging call may wait for room in the queue when `overflow` is `block`."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that `close()` and the end of the process may take; service managers kill after 10 to 90."""

DURABILITY: Final = "memory"
"""`journal` costs each logging call a write to a file; most applications would rather lose a second of records in a
SIGKILL than pay that."""

SPOOL_DIR: Final = "auto"

SPOOL_MAX_BYTES: Final = 1024 * 1024 * 1024
"""Bytes that one writer's spool may take: about 2.5 million ordinary records."""

SPOOL_MIN_FREE: Final = 100 * 1024 * 1024
"""Bytes that the spool leaves free for everybody else, or a twentieth of the file system where that is less."""

SPOOL_FSYNC: Final = "interval"

FSYNC_INTERVAL: Final = 1.0
"""Seconds between two fsyncs of the spool with `spool_fsync: interval`: what a crash of the machine may cost."""

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes after which a new segment of the spool is begun: disk space comes back in pieces of this size."""

JOURNAL_BYTES: Final = 1024 * 1024
"""Bytes after which a new file of the journal is begun. What is settled takes room from the spool until its file goes,
so that a full disk gives back all but this."""

SEGMENT_SECONDS: Final = 3600.0
"""Seconds after which a new segment of the spool is begun."""

MAX_FIELD_BYTES: Final = 1024 * 1024
"""Bytes of one message, exception, stack or `extra_data`; longer ones are cut visibly."""

MASK_KEYS: Final = (
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "private_key",
    "pwd",
    "secret",
    "secrets",
    "session_id",
    "token",
)
"""Words in the names of `extra` keys whose values are masked; `db_password` and `dbPassword` match `password`."""

RETENTION_DAYS: Final = 365
"""Days that a row is kept."""

LONGEST_RETENTION_DAYS: Final = 36_500

LEDGER_KEEP_DAYS: Final = 30
"""Days that the ledger remembers a batch. A batch that waits longer could be stored twice, if it was stored before."""

PARTITION_BY: Final = "day"
PARTITIONS_AHEAD: Final = 7
"""Partitions made ahead of time: a week of days, so that a long weekend without maintenance costs nothing."""

PAST_WINDOW_DAYS: Final = 400
FUTURE_WINDOW_DAYS: Final = 31
"""Days before and after now within which a record keeps its own timestamp; a year of retention fits with a margin.
Others are stored under the time of the call, with the original in `extra_data`, lest a wrong clock make partitions."""

INDEXES: Final = "standard"

CONSOLE_FORMAT: Final = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

FILE_MAX_BYTES: Final = 10 * 1024 * 1024
FILE_BACKUPS: Final = 5
"""Rotated files of `logging.file`: with the live one, 60 MiB at most."""

STREAM_FILES: Final = 10
"""Rotated files of a `LogManager`'s writer."""

FILE_RETENTION_DAYS: Final = 30
FILE_CLEANUP_INTERVAL: Final = 86_400.0
"""Seconds between two looks for rotated files that are too old."""

FILE_BUFFER_SIZE: Final = 64 * 1024
"""Bytes that are written together: about 600 ordinary lines for one system call."""

FILE_FLUSH_INTERVAL: Final = 0.1
"""Seconds that a line may wait in the buffer."""

MAX_CONCURRENT_WRITES: Final = 1000

EMERGENCY_CLEANUP_THRESHOLD_MB: Final = 50.0
"""MiB that an emergency clean-up frees."""

RECOVERY_CHECK_INTERVAL: Final = 60.0
"""Seconds between two looks whether a full disk has room again."""

RECOVERY_MIN_FREE_MB: Final = 100.0
"""MiB that have to be free before a file is written again, or a twentieth of the file system where that is less."""

ROTATION_RETRIES: Final = 3
ROTATION_RETRY_DELAY: Final = 0.1
"""Seconds before the first further try; each waits twice as long as the one before."""

STREAM_RETRIES: Final = 5

FILE_MODE: Final = 0o640
DIR_MODE: Final = 0o750

STATEMENT_TIMEOUT: Final = 30.0
"""Seconds that one query of the reading commands may run on the server."""

"""What a handler is given and what arrives of it in the table."""

import logging
from collections import Counter

import psycopg

from dblog import defaults
from dblog.store.migrate import prepare


def migrate(dsn: str) -> None:
    """Make the tables."""
    with psycopg.connect(dsn) as connection:
        prepare(
            connection,
            schema=None,
            table_prefix="dblog",
            partition_by=defaults.PARTITION_BY,
            indexes=defaults.INDEXES,
            partitions_ahead=1,
        )


def messages(dsn: str) -> Counter[str]:
    """The messages in the table."""
    with psycopg.connect(dsn) as connection:
        return Counter(row[0] for row in connection.execute("SELECT message FROM dblog_logs"))


def log(logger: logging.Logger, start: int, end: int) -> Counter[str]:
    """Log numbers; returns what is expected in the table."""
    for number in range(start, end):
        logger.info("%d", number)
    return Counter(map(str, range(start, end)))

"""Handlers that insert into the table, as applications have them."""

import json
import logging
import socket
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

_INSERT = """
    INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, process_id,
        module, function_name, filename, lineno, pathname, thread_id, thread_name, exception, extra_data, message)
    VALUES (%(writer_id)s, %(batch_seq)s, %(timestamp)s, %(level_no)s, %(level)s, %(logger_name)s, %(hostname)s,
        %(process_id)s, %(module)s, %(function_name)s, %(filename)s, %(lineno)s, %(pathname)s, %(thread_id)s,
        %(thread_name)s, %(exception)s, %(extra_data)s, %(message)s)
"""


class InsertHandler(logging.Handler):
    """Inserts and commits each record in the call.

    Args:
        dsn: The connection string.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._connection = psycopg.connect(dsn)
        self._writer_id = uuid.uuid4()
        self._hostname = socket.gethostname()
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.execute(_INSERT, self.row(record))
        self._connection.commit()

    def row(self, record: logging.LogRecord) -> dict[str, object]:
        """The values of a record, by column."""
        extra = {key: value for key, value in record.__dict__.items() if key not in STANDARD}
        return {
            "writer_id": self._writer_id,
            "batch_seq": 1,
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level_no": record.levelno,
            "level": record.levelname,
            "logger_name": record.name,
            "hostname": self._hostname,
            "process_id": record.process,
            "module": record.module,
            "function_name": record.funcName,
            "filename": record.filename,
            "lineno": record.lineno,
            "pathname": record.pathname,
            "thread_id": record.thread,
            "thread_name": record.threadName,
            "exception": self._formatter.formatException(record.exc_info) if record.exc_info else record.exc_text,
            "extra_data": self.extra_data(extra) if extra else None,
            "message": record.getMessage(),
        }

    def extra_data(self, values: Mapping[str, object]) -> object:
        """The values as the column takes them."""
        return json.dumps(values)

    def close(self) -> None:
        self._connection.close()
        super().close()


class ExecutemanyHandler(InsertHandler):
    """Collects 1,000 records and inserts them with one `executemany` and one commit.

    Args:
        dsn: The connection string.
        batch_size: Records of a batch.
    """

    def __init__(self, dsn: str, batch_size: int = 1000) -> None:
        super().__init__(dsn)
        self._rows: list[dict[str, object]] = []
        self._batch_size = batch_size

    def emit(self, record: logging.LogRecord) -> None:
        self._rows.append(self.row(record))
        if len(self._rows) >= self._batch_size:
            self.flush()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self.insert(rows)

    def insert(self, rows: list[dict[str, object]]) -> None:
        """Insert the rows and commit."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
        self._connection.commit()

    def close(self) -> None:
        self.flush()
        super().close()


class SqlAlchemyHandler(ExecutemanyHandler):
    """Collects 1,000 records and inserts them with SQLAlchemy Core.

    Args:
        dsn: The connection string.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        import sqlalchemy as sa  # the processes of other rivals do without

        url = sa.make_url(dsn).set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(url)
        self._insert = sa.insert(sa.Table("dblog_logs", sa.MetaData(), autoload_with=self._engine))

    def insert(self, rows: list[dict[str, object]]) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._insert, rows)

    def extra_data(self, values: Mapping[str, object]) -> object:
        return values  # the column's type turns it into JSON

    def close(self) -> None:
        super().close()
        self._engine.dispose()

"""Sessions that deliver batches without a pause, each a transaction with its line of the ledger, as writers do."""

import uuid
from datetime import UTC, datetime
from threading import Event, Thread
from types import TracebackType

import psycopg
from eventually import eventually
from servers import Database

ROWS = 50
_COPY = "COPY dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) FROM STDIN"
_LEDGER = (
    "INSERT INTO dblog_batches (birth_day, writer_id, batch_seq, rows_stored, rows_rejected, accepted, closing, "
    "hostname, process_id) VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s, %s, 0, 0, false, 'host', 1) "
    "ON CONFLICT DO NOTHING"
)


class Writers:
    """A number of writers that run until the end of the block; what one of them runs into is raised there."""

    def __init__(self, database: Database, number: int) -> None:
        self.database = database
        self.pids: set[int] = set()
        self._stop = Event()
        self._batches = [0] * number
        self._errors: list[BaseException] = []
        self._threads = [Thread(target=self._write, args=(index,)) for index in range(number)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        self.wait_for_batches(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def wait_for_batches(self, number: int) -> None:
        """Until each writer has committed so many more batches."""
        goal = [done + number for done in self._batches]
        eventually(lambda: self._errors or all(map(int.__ge__, self._batches, goal)), "batches")

    def committed(self) -> int:
        """How many rows the writers have committed."""
        return sum(self._batches) * ROWS

    def stored(self) -> int:
        """How many rows are in the table."""
        with self.database.connect() as connection:
            return int(connection.execute("SELECT count(*) FROM dblog_logs").fetchall()[0][0])

    def _write(self, index: int) -> None:
        writer = str(uuid.uuid4())
        try:
            with psycopg.connect(self.database.dsn, options="-c timezone=UTC") as connection:
                self.pids.add(connection.info.backend_pid)
                while not self._stop.is_set():
                    seq = self._batches[index] + 1
                    connection.execute(_LEDGER.encode(), [writer, seq, ROWS])
                    with connection.cursor().copy(_COPY.encode()) as copy:
                        for _ in range(ROWS):
                            copy.write_row((writer, seq, datetime.now(UTC), 20, "INFO", "app", "host", "text"))
                    connection.commit()
                    self._batches[index] = seq
        except psycopg.Error as error:
            self._errors.append(error)

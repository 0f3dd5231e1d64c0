"""One exchange with PostgreSQL over libpq, under a deadline that holds even when the server is frozen.

TCP settings alone do not notice a server that is stopped but still connected, so every wait here ends at a deadline
of our own; the caller then closes the connection.
"""

import select
import time
from typing import Final

from psycopg import errors, pq

_CHUNK: Final = 256 * 1024
_READABLE: Final = select.POLLIN | select.POLLERR | select.POLLHUP


def run(pgconn: pq.abc.PGconn, query: bytes, payload: bytes | None, deadline: float) -> list[pq.abc.PGresult]:
    """Send a simple query, feed its COPY if it has one, and return the results of all its statements.

    An INSERT that inserted nothing ends the COPY after it with an error: see `Duplicate`.

    Args:
        pgconn: A non-blocking connection without an exchange under way.
        query: One or more statements.
        payload: What the COPY among them reads.
        deadline: Of `time.monotonic()`.

    Raises:
        psycopg.Error: What the server answered.
        TimeoutError: The deadline passed; the connection is in no usable state.
        Duplicate: The INSERT before the COPY found its row already there.
    """
    pgconn.send_query(query)
    _flush(pgconn, deadline)
    results: list[pq.abc.PGresult] = []
    failure: errors.Error | None = None
    inserted: int | None = None
    while (result := _next_result(pgconn, deadline)) is not None:
        status = result.status
        if status == pq.ExecStatus.COPY_IN:
            if inserted == 0:
                pgconn.put_copy_end(b"this batch is stored already")
                failure = Duplicate()
            else:
                _feed(pgconn, payload or b"", deadline)
            _flush(pgconn, deadline)
        elif status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            if (result.command_status or b"").startswith(b"INSERT"):
                inserted = result.command_tuples
            results.append(result)
        elif failure is None:
            failure = errors.error_from_result(result)
    if failure is not None:
        raise failure
    return results


class Duplicate(errors.Error):
    """The batch is in the ledger already: it was delivered before."""


def is_alive(pgconn: pq.abc.PGconn) -> bool:
    """False where the server has closed the connection while nobody looked; costs no round trip.

    It does not wait, not even for the interpreter's lock, as one that asked the system first would.
    """
    try:
        for _ in range(2):  # the first reads what the server said last, notices or why it ends, the second that it did
            pgconn.consume_input()
    except errors.OperationalError:
        return False
    return pgconn.status == pq.ConnStatus.OK


def _wait(pgconn: pq.abc.PGconn, events: int, deadline: float) -> int:
    poller = select.poll()
    poller.register(pgconn.socket, events)
    ready = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
    if not ready:
        raise TimeoutError("the server did not answer in time")
    return ready[0][1]


def _flush(pgconn: pq.abc.PGconn, deadline: float) -> None:
    while pgconn.flush():  # what the server says meanwhile must be read, lest both sides wait for each other
        if _wait(pgconn, select.POLLOUT | select.POLLIN, deadline) & _READABLE:
            pgconn.consume_input()


def _feed(pgconn: pq.abc.PGconn, payload: bytes, deadline: float) -> None:
    view = memoryview(payload)
    for start in range(0, len(payload), _CHUNK):
        while pgconn.put_copy_data(view[start : start + _CHUNK]) == 0:
            _flush(pgconn, deadline)
        _flush(pgconn, deadline)
    pgconn.put_copy_end()


def _next_result(pgconn: pq.abc.PGconn, deadline: float) -> pq.abc.PGresult | None:
    while pgconn.is_busy():
        _wait(pgconn, select.POLLIN, deadline)
        pgconn.consume_input()
    return pgconn.get_result()

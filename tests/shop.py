"""The logs of a small shop, over several days and hosts, brought into the tables by the real handler."""

import logging
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from dblog import DatabaseLogHandler

DAY = 86_400.0
DAYS_AGO = (40, 21, 20, 6, 5, 4, 3, 2, 1)
"""The days of the records, beside today."""

_LOGGERS = {
    "shop": ("shop.web", "shop.web.session", "shop.cart", "shop.payment", "shop.payment.card", "shop.db"),
    "billing": ("billing.invoice", "billing.tax"),
    "mail": ("mail.queue", "mail.smtp"),
}
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
_SENTENCES = {
    logging.DEBUG: "cache looked up for %s",
    logging.INFO: "order %s accepted",
    logging.WARNING: "order %s is slow",
    logging.ERROR: "connection reset while order %s was paid",
}


@dataclass(frozen=True)
class Writer:
    """A process of the shop: its service, its host, and how many seconds ago it fell silent."""

    service: str
    hostname: str
    silent: float = 0.0


WRITERS = (
    Writer("shop", "web-1"),
    Writer("shop", "web-2"),
    Writer("billing", "batch-1"),
    Writer("mail", "batch-1", silent=3 * 3600.0),
)


def write_logs(dsn: str) -> int:
    """Log as the shop does, ending each process in order but one; returns the number of records."""
    return sum(_run(writer, dsn, seed) for seed, writer in enumerate(WRITERS)) + _run_and_kill(dsn)


def _run(writer: Writer, dsn: str, seed: int) -> int:
    with mock.patch("socket.gethostname", return_value=writer.hostname):
        handler = DatabaseLogHandler(dsn, service=writer.service, flush_interval=0.2, close_timeout=60)
    try:
        for record in _records(writer, random.Random(seed)):
            handler.handle(record)
        assert handler.flush(60)
    finally:
        handler.close()
    return sum(handler.stats().stored.values())


def _run_and_kill(dsn: str) -> int:
    """A process that logs ten records and is killed: its writer never says that it ended."""
    program = (
        "import logging, os, signal, sys, dblog\n"
        "handler = dblog.DatabaseLogHandler(sys.argv[1], service='worker')\n"
        "log = logging.getLogger('worker'); log.addHandler(handler)\n"
        "for number in range(10): log.warning('job %d', number)\n"
        "assert handler.flush(60)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, dsn], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    return 10


def _records(writer: Writer, chance: random.Random) -> Iterator[logging.LogRecord]:
    last = time.time() - writer.silent
    moments = [last - days * DAY - chance.random() * 3600 for days in DAYS_AGO for _ in range(600)]
    moments += [last - chance.random() * DAY for _ in range(5000)]
    moments += [last - chance.random() * 3600 for _ in range(500)]
    for number, moment in enumerate(sorted(moments)):
        yield _record(writer, number, moment, chance)


def _record(writer: Writer, number: int, moment: float, chance: random.Random) -> logging.LogRecord:
    level = chance.choices(_LEVELS, (50, 40, 8, 2))[0]
    name = chance.choice(_LOGGERS[writer.service])
    thread = number % 4
    attributes: dict[str, Any] = {
        "name": name,
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": _SENTENCES[level],
        "args": (number,),
        "created": moment,
        "pathname": f"/srv/{name.replace('.', '/')}.py",
        "filename": f"{name.rpartition('.')[2]}.py",
        "module": name.rpartition(".")[2],
        "lineno": 10 + level,
        "funcName": "handle",
        "thread": 1000 + thread,
        "threadName": f"worker-{thread}",
        "process": 4000 + len(writer.hostname),
        "user_id": number % 500,
        "duration_ms": round(chance.lognormvariate(3, 1), 1),
        "trace_id": f"{number // 3 % 4000:032x}",
    }
    if level == logging.ERROR:
        attributes["exc_info"] = _caught(TimeoutError if number % 3 else ConnectionResetError)
    return logging.makeLogRecord(attributes)


def _caught(kind: type[Exception]) -> tuple[type[Exception], Exception, Any]:
    try:
        raise kind("the bank did not answer")
    except kind as error:
        return kind, error, error.__traceback__

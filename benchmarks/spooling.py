"""What the spool itself takes: batches that are encoded already, written as a handler's worker writes them."""

import logging
import math
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import end_to_end
from benchmarks.kinds import Standard
from benchmarks.measure import Figures
from benchmarks.rivals import logger_with
from dblog.batch import Batch, BatchKey
from dblog.defaults import BATCH_SIZE, MASK_KEYS, MAX_FIELD_BYTES
from dblog.sinks.segments import Trouble
from dblog.sinks.spool import Spool
from dblog.writing.row import RowEncoder

MB: Final = 1e6
ROOM: Final = 64 << 30
"""Bytes that the spool may take: more than it is given."""


def measure(records: int) -> Figures:
    """The rate at which the spool takes full batches of records with two extra values, until it is closed."""
    now = datetime.now(UTC)
    writer = uuid.uuid4().hex
    payload = b"".join(f"{uuid.UUID(writer)}\t1\t".encode() + line for line in _lines())
    batches = [
        Batch(BatchKey(f"{now:%Y-%m-%d}", writer, seq), payload, {20: BATCH_SIZE}, str(now), str(now), seq * BATCH_SIZE)
        for seq in range(1, math.ceil(records / BATCH_SIZE) + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), writer_id=writer, target="benchmark", report=_fail, max_bytes=ROOM)
        began = time.perf_counter()
        for batch in batches:
            spool.append(batch)
            spool.sync()
        spool.close()
        elapsed = time.perf_counter() - began
    return {
        "records_per_s": len(batches) * BATCH_SIZE / elapsed,
        "mb_per_s": len(batches) * len(payload) / elapsed / MB,
        "peak_mb": math.nan,
    }


class _Encoding(logging.Handler):
    """Keeps the lines of records, as they go into a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self._rows = RowEncoder(service=None, hostname="web-1", max_field_bytes=MAX_FIELD_BYTES, mask_keys=MASK_KEYS)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self._rows.encode(record))


def _lines() -> list[bytes]:
    """The lines of a full batch."""
    handler = _Encoding()
    with logger_with(handler) as logger:
        end_to_end.log(Standard(logger).extra, BATCH_SIZE)
    return handler.lines


def _fail(trouble: Trouble) -> None:
    raise RuntimeError(f"the spool has trouble: {trouble.reason}")

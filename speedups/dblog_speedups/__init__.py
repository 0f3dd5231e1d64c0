"""The common case of dblog's logging call, batches, and the records themselves, compiled.

dblog finds and uses the first two by itself; `make_record` is for `logging.setLogRecordFactory`.
"""

from dblog_speedups._batch import assemble
from dblog_speedups._line import INTERFACE, LineEncoder, Taker
from dblog_speedups._record import make_record

__all__ = ["INTERFACE", "LineEncoder", "Taker", "assemble", "make_record"]

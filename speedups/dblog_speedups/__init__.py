"""The common case of dblog's logging call, tracebacks, batches, and the records themselves, compiled.

dblog finds and uses all but the last by itself; `make_record` is for `logging.setLogRecordFactory`.
"""

from dblog_speedups._batch import assemble
from dblog_speedups._line import INTERFACE, LineEncoder, Taker
from dblog_speedups._record import make_record
from dblog_speedups._trace import stack

__all__ = ["INTERFACE", "LineEncoder", "Taker", "assemble", "make_record", "stack"]

"""The common case of dblog's logging call, and batches, compiled; dblog finds and uses them by itself."""

from dblog_speedups._batch import assemble
from dblog_speedups._line import INTERFACE, LineEncoder, Taker

__all__ = ["INTERFACE", "LineEncoder", "Taker", "assemble"]

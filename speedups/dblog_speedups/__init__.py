"""The common case of dblog's logging call, compiled; dblog finds and uses it by itself."""

from dblog_speedups._line import INTERFACE, LineEncoder, Taker

__all__ = ["INTERFACE", "LineEncoder", "Taker"]

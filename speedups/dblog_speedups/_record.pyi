import logging
from typing import Any

def make_record(
    name: str,
    level: int,
    pathname: str,
    lineno: int,
    msg: object,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    sinfo: str | None = None,
    **kwargs: Any,
) -> logging.LogRecord:
    """What `logging.LogRecord` makes of the same arguments; for `logging.setLogRecordFactory`."""

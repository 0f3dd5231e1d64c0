"""A WSGI application that logs each request; gunicorn loads it once, before it forks its workers.

Environment: `SHOP_DSN` and `SHOP_SPOOL` for the handler.
"""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from dblog import DatabaseLogHandler

handler = DatabaseLogHandler(
    os.environ["SHOP_DSN"], spool_dir=os.environ["SHOP_SPOOL"], service="shop", close_timeout=60
)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
logger.info("loaded")


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Log the path and answer with the number of the process."""
    logger.info("request %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [str(os.getpid()).encode()]

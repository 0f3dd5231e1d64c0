"""A Celery application whose tasks log.

Environment: `SHOP_DSN` and `SHOP_SPOOL` for the handler, `SHOP_QUEUE` for a folder that is Celery's broker. Run as
`celery_app.py NUMBER`, it orders so many tasks.
"""

import logging
import os
import sys

from celery import Celery

from dblog import DatabaseLogHandler

folder = os.environ["SHOP_QUEUE"]
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": f"{folder}/control",
    },
    worker_hijack_root_logger=False,
)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(
    DatabaseLogHandler(os.environ["SHOP_DSN"], spool_dir=os.environ["SHOP_SPOOL"], service="shop", close_timeout=60)
)


def log(number: int) -> None:
    """Log a number."""
    logger.info("order %d", number)


order = app.task(log, name="order")

if __name__ == "__main__":
    for each in range(int(sys.argv[1])):
        order.delay(each)

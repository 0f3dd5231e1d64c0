"""An application that knows nothing of dblog: it is told by a file how to log, logs, and comes to its end.

Run as `configured_app.py FILE...`, with YAML for `dictConfig` in a `.yml` file, else with what `fileConfig` reads; each
file replaces the configuration of the one before.
"""

import logging.config
import sys
import threading
from pathlib import Path

import yaml


def work(name: str, count: int) -> None:
    """What one thread logs."""
    logger = logging.getLogger(f"shop.{name}")
    for number in range(count):
        logger.debug("item %d", number, extra={"number": number})
    try:
        raise LookupError(name)
    except LookupError:
        logger.exception("nothing more for %s", name)


def main(file: Path) -> None:
    """Configure logging and log in two threads."""
    if file.suffix == ".yml":
        logging.config.dictConfig(yaml.safe_load(file.read_text(encoding="utf-8")))
    else:
        logging.config.fileConfig(file)
    threads = [threading.Thread(target=work, args=(name, 50)) for name in ("cart", "stock")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    for given in sys.argv[1:]:
        main(Path(given))

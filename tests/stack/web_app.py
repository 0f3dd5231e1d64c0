"""A small web service with two ways to its database, where everything logs: to a file and, by `config.yml`, to dblog.

Run as `web_app.py CONFIG FILE DSN DESCRIPTOR`; the descriptor is a listening socket. It ends when asked to `/stop`.
"""

import asyncio
import json
import logging
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import psycopg
import sqlalchemy as sa
import uvicorn
from psycopg_pool import ConnectionPool

import dblog

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

logger = dblog.get_logger("shop.web")
visits = sa.Table(
    "visits",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("page", sa.Text, nullable=False),
)


class OneLine(logging.Formatter):
    """A record as one line of JSON: whatever the message holds, the line has no other line break."""

    def format(self, record: logging.LogRecord) -> str:
        """The fields in the order of the columns that they are compared with."""
        exception = self.formatException(record.exc_info) if record.exc_info else None
        return json.dumps(
            [
                record.thread,
                record.threadName,
                record.created,
                record.levelno,
                record.levelname,
                record.name,
                record.process,
                record.module,
                record.funcName,
                record.filename,
                record.lineno,
                record.pathname,
                record.getMessage(),
                exception,
            ]
        )


class Shop:
    """The ASGI application; each request does some work in another thread."""

    def __init__(self, dsn: str) -> None:
        self.stop: Callable[[], None]
        self._engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(dsn, application_name="shop"),
            echo="debug",
            echo_pool="debug",
            pool_size=2,
        )
        self._pool = ConnectionPool(dsn, min_size=1, max_size=2, open=False)

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Serve one connection of uvicorn."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/broken"):
            raise ZeroDivisionError(f"{path}: nothing to divide by\nand a second line")
        if path.startswith("/stop"):
            self.stop()
        work = self._visit if path.startswith("/visit") else self._count
        body = str(await asyncio.to_thread(work, path)).encode()
        logger.info("served %s\n\twith %d bytes \x1b[1m\\.", path, len(body), extra={"page": path})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Open the connections at the start, close them at the end."""
        await receive()
        await asyncio.to_thread(self._open)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        visits.create(self._engine)
        self._pool.open(wait=True)

    def _close(self) -> None:
        self._pool.close()
        self._engine.dispose()

    def _visit(self, path: str) -> int:
        with self._engine.begin() as connection:
            connection.execute(visits.insert().values(page=path))
            return connection.execute(sa.select(sa.func.count()).where(visits.c.page == path)).scalar_one()

    def _count(self, path: str) -> int:
        warnings.warn(f"{path} goes past SQLAlchemy", DeprecationWarning, stacklevel=1)
        with self._pool.connection() as connection:
            (count,) = connection.execute("SELECT count(*) FROM visits").fetchone() or (0,)
            return int(count)


async def serve(dsn: str, descriptor: int) -> None:
    """Serve until somebody asks to stop."""
    asyncio.get_running_loop().slow_callback_duration = 0  # each callback is reported as a slow one
    shop = Shop(dsn)
    server = uvicorn.Server(uvicorn.Config(shop, http="h11", ws="none", lifespan="on", log_config=None))
    shop.stop = lambda: setattr(server, "should_exit", True)
    with socket.socket(fileno=descriptor) as listening:
        await server.serve(sockets=[listening])


def main(config: str, file: str, dsn: str, descriptor: str) -> int:
    """Log from the first to the last moment to both places; 0 where all that was logged was delivered."""
    if not dblog.initialize_logger(config):
        return 1
    beside = logging.FileHandler(file, encoding="utf-8")
    beside.setFormatter(OneLine())
    logging.getLogger().addHandler(beside)
    asyncio.run(serve(dsn, int(descriptor)), debug=True)
    logger.info("the end")
    delivered = dblog.shutdown_logging(timeout=120)
    logging.getLogger().removeHandler(beside)
    beside.close()
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""A TCP proxy in front of a server that misbehaves by order: it falls silent, and cuts connections where it is told."""

import random
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from psycopg.conninfo import conninfo_to_dict

_CHUNK = 64 * 1024
_LOOK = 0.02
"""Seconds between two looks at the orders."""


@dataclass(eq=False)
class Link:
    """One connection through the proxy, and how much has passed in each direction."""

    number: int
    client: socket.socket
    server: socket.socket
    sent: int = 0
    answered: int = 0
    tail: bytes = b""
    """The last bytes of the answers."""
    closed: bool = False

    def close(self) -> None:
        """Cut it, without a farewell."""
        self.closed = True
        self.client.close()
        self.server.close()


Rule = Callable[[Link, bool, bytes], int | None]
"""Given a link, whether data comes from the client, and the data: the bytes to let pass before a cut; None for all."""


def let_pass(_link: Link, _from_client: bool, _data: bytes) -> None:
    """Cut nothing."""


@dataclass
class Proxy:
    """Listens on a port of its own and forwards to another one, in a thread that ends with the context.

    While `silent` is set nothing is read, sent, accepted or closed, as by a peer behind a cable that was pulled.
    """

    target: int
    rule: Rule = let_pass
    silent: bool = False
    accepted: int = 0
    cuts: int = 0
    _listener: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)
    _stopping: bool = False

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        self._listener.close()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        port: int = self._listener.getsockname()[1]
        return port

    def _run(self) -> None:
        links: list[Link] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            pause = threading.Event()
            while not self._stopping:
                if self.silent:
                    pause.wait(_LOOK)
                    continue
                for key, _ in selector.select(_LOOK):
                    if key.fileobj is self._listener:
                        self._accept(selector, links)
                    elif not key.data.closed and not self._forward(key.fileobj, key.data):
                        self._cut(selector, key.data)
        for link in links:
            link.close()

    def _accept(self, selector: selectors.BaseSelector, links: list[Link]) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        link = Link(self.accepted, client, server)
        links.append(link)
        for each in (client, server):
            selector.register(each, selectors.EVENT_READ, link)

    def _forward(self, source: object, link: Link) -> bool:
        """Pass on what came; False where the link has to be cut."""
        from_client = source is link.client
        taker, giver = (link.server, link.client) if from_client else (link.client, link.server)
        try:
            data = giver.recv(_CHUNK)
            limit = self.rule(link, from_client, data) if data else None
            taker.sendall(data if limit is None else data[:limit])
        except OSError:
            return False
        if from_client:
            link.sent += len(data)
        else:
            link.answered += len(data)
            link.tail = (link.tail + data)[-32:]
        self.cuts += limit is not None
        return bool(data) and limit is None

    def _cut(self, selector: selectors.BaseSelector, link: Link) -> None:
        for each in (link.client, link.server):
            selector.unregister(each)
        link.close()


def port_of(dsn: str) -> int:
    """The port that a connection string names."""
    return int(str(conninfo_to_dict(dsn)["port"]))


def keep_answer_to_commit(link: Link, from_client: bool, data: bytes) -> int | None:
    """Cut before the server's answer to a COMMIT reaches the client: it was done, and nobody knows."""
    return 0 if not from_client and b"COMMIT\0" in link.tail + data else None


class RandomCuts:
    """Cuts connections after a random number of bytes in a random direction, the same for the same seed.

    Args:
        seed: Of the random numbers.
        count: How many connections are cut; later ones are left alone.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._random = random.Random(seed)
        self._count = count
        self._limits: dict[int, tuple[bool, int]] = {}

    def __call__(self, link: Link, from_client: bool, data: bytes) -> int | None:
        """The bytes that may still pass before the cut of this link, if there is one."""
        if link.number not in self._limits:
            direction = self._random.random() < 0.5
            size = round(10 ** self._random.uniform(0, 4.5 if direction else 3))
            self._limits[link.number] = (direction, size)
        direction, limit = self._limits[link.number]
        passed = link.sent if from_client else link.answered
        if link.number > self._count or direction != from_client or passed + len(data) < limit:
            return None
        return limit - passed

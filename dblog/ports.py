"""Ports of this machine that a server of ours is to have, and nobody else."""

import socket
import sys
from contextlib import suppress


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def reserve(port: int) -> socket.socket:
    """Keep a port from being given to others for as long as the socket is open; a server can still listen there."""
    holder = socket.socket()
    if sys.platform == "linux":  # elsewhere the server could not listen where another socket is bound
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody was faster: the server will say so
            holder.bind(("127.0.0.1", port))
    return holder

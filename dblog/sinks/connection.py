"""How a connection to PostgreSQL is opened, and how a forked child lets go of the one that it inherited."""

import math
import os
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dblog.defaults import CONNECT_TIMEOUT

_LEAST_TIMEOUT: Final = 2
"""Seconds: libpq waits no shorter, lest a slow name server make every attempt fail."""


def connect(conninfo: str, *, connect_timeout: float, query_timeout: float) -> psycopg.Connection:
    """Open a connection that notices a lost peer within seconds and leaves no prepared statements behind.

    Args:
        conninfo: A libpq connection string. What it says about keepalives and `tcp_user_timeout` counts.
        connect_timeout: Whole seconds for each host and address, from 2; a `connect_timeout` of the connection string
            counts where this one is the default.
        query_timeout: Seconds after which data that nobody acknowledges ends the connection.

    Raises:
        psycopg.Error: There is no connection to be had.
    """
    own = conninfo_to_dict(conninfo)
    preferences: dict[str, Any] = {
        "fallback_application_name": "dblog",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(query_timeout * 1000),
        "connect_timeout": max(_LEAST_TIMEOUT, math.ceil(connect_timeout)),
    }
    if connect_timeout != CONNECT_TIMEOUT:
        own.pop("connect_timeout", None)
    missing = {key: value for key, value in preferences.items() if key not in own}
    return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None, client_encoding="UTF8", **missing)


def abandon(connection: psycopg.Connection) -> None:
    """In a forked child: let go of an inherited connection without a word to the server.

    It is not closed: another thread may have been changing libpq's or OpenSSL's state while the parent forked.
    """
    if not connection.closed:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, connection.fileno())
        os.close(null)
        del connection.pgconn  # psycopg does not finish what another process made, nor warn of what is not there

"""Where a connection string leads, for messages and for telling databases apart; never with the password."""

import os
import re
from typing import Final

from psycopg.conninfo import conninfo_to_dict

_SERVER: Final = {
    "service": "PGSERVICE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
}


def place(conninfo: str) -> str:
    """Role, host, port and name of a database: `app@db.example:5432/logs`; what is left to libpq is left out."""
    known = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value}
    if "service" in known:
        return f"service {known['service']}"
    role = f"{known['user']}@" if "user" in known else ""
    host = known.get("host") or known.get("hostaddr") or "the local server"
    port = f":{known['port']}" if "port" in known else ""
    name = f"/{known['dbname']}" if re.fullmatch(r"[^=:@]+", known.get("dbname", "")) else ""  # libpq takes a DSN here
    return f"{role}{host}{port}{name}"


def target(conninfo: str, schema: str | None, table_prefix: str) -> str:
    """What tells one pair of tables from all others: server, database, schema and prefix.

    Without a schema the role counts, too, because its search_path decides.
    """
    known = conninfo_to_dict(conninfo)
    server = [str(known.get(key) or os.environ.get(variable, "")) for key, variable in _SERVER.items()]
    role = str(known.get("user") or os.environ.get("PGUSER", ""))
    return "/".join([*server, schema or f"of {role}", table_prefix])

"""Where a connection string leads, for messages and for telling databases apart; never with the password."""

import os
import re
from hashlib import sha256
from typing import Final

from psycopg.conninfo import conninfo_to_dict

_ROLE: Final = "of "
"""Before the role in a target, where other targets have their schema."""
_SERVER: Final = {
    "service": "PGSERVICE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
}

_PLAIN: Final = re.compile(r"[^=:@/]+")


def place(conninfo: str) -> str:
    """Role, host, port and name of a database: `app@db.example:5432/logs`; what is left to libpq is left out."""
    known = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value}
    if "service" in known:
        return f"service {known['service']}"
    role = f"{known['user']}@" if "user" in known else ""
    host = known.get("host") or known.get("hostaddr") or "the local server"
    port = f":{known['port']}" if "port" in known else ""
    name = f"/{known['dbname']}" if _PLAIN.fullmatch(known.get("dbname", "")) else ""  # libpq takes a DSN here
    return f"{role}{host}{port}{name}"


def target(conninfo: str, schema: str | None, table_prefix: str) -> str:
    """What tells one pair of tables from all others: server, database, schema and prefix.

    Without a schema the role counts, too, because its search_path decides. A host in capitals and one without its
    default port are the same server as without and with.
    """
    known = conninfo_to_dict(conninfo)
    server = {key: str(known.get(key) or os.environ.get(variable, "")) for key, variable in _SERVER.items()}
    server["host"] = ",".join(map(_one_spelling, server["host"].split(",")))
    if not server["service"] and (server["host"] or server["hostaddr"]):
        server["port"] = server["port"] or "5432"
    if server["dbname"] and not _PLAIN.fullmatch(server["dbname"]):  # libpq takes a DSN here, with its password
        server["dbname"] = f"dsn-{sha256(server['dbname'].encode()).hexdigest()[:16]}"
    role = str(known.get("user") or os.environ.get("PGUSER", ""))
    return "/".join([*server.values(), schema or f"{_ROLE}{role}", table_prefix])


def place_of(target: str) -> str:
    """The place in what `target()` gave, as `place()` writes it; the role is known only where no schema was set.

    Anything else is returned as it is.
    """
    server = _split(target)
    if server is None:
        return target
    service, host, hostaddr, port, name, schema, _ = server
    if service:
        return f"service {service}"
    role = schema.removeprefix(_ROLE) if schema.startswith(_ROLE) else ""
    at = f"{role}@" if role else ""
    where = f"{host or hostaddr or 'the local server'}{f':{port}' if port else ''}"
    return f"{at}{where}{f'/{name}' if name else ''}"


def tables_of(target: str) -> str:
    """The tables in what `target()` gave: `dblog_*`, or `schema.dblog_*` where a schema was set; else nothing."""
    server = _split(target)
    if server is None:
        return ""
    schema, prefix = server[-2:]
    return f"{prefix}_*" if schema.startswith(_ROLE) else f"{schema}.{prefix}_*"


def _one_spelling(host: str) -> str:
    """Names of hosts are the same in capitals; the paths of sockets are not."""
    return host if host.startswith(("/", "@")) else host.lower()


def _split(target: str) -> tuple[str, ...] | None:
    """The seven parts of a target; only the host may hold slashes, as the path of a socket."""
    service, _, rest = target.partition("/")
    parts = rest.rsplit("/", 5)
    return (service, *parts) if len(parts) == 6 else None

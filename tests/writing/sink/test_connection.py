"""How the writer connects: what the connection string says counts, what it does not say is chosen for a writer."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from servers import Database

from dblog.sinks.connection import connect

OURS = {
    "application_name": "dblog",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "7000",
}


def test_what_the_connection_string_does_not_say(database: Database) -> None:
    """Without a word about them, keepalives and the limit for unacknowledged data notice a lost peer within seconds."""
    with closing(connect(database.dsn, connect_timeout=10.0, query_timeout=7.0)) as connection:
        known = connection.info.get_parameters()
        named = connection.info.parameter_status("application_name")
    assert {"application_name": named, **{key: known[key] for key in OURS if key in known}} == OURS


def test_what_the_connection_string_says(database: Database) -> None:
    """Keepalives, the limit for unacknowledged data and the name of the application are left as they were asked for."""
    theirs = {key: "shop" if key == "application_name" else "77" for key in OURS}
    with closing(connect(make_conninfo(database.dsn, **theirs), connect_timeout=10.0, query_timeout=7.0)) as connection:
        known = connection.info.get_parameters()
    assert {key: known[key] for key in OURS} == theirs


@pytest.mark.parametrize(("own", "setting", "counts"), [("20", 10.0, "20"), ("60", 20.0, "20"), ("", 0.3, "2")])
def test_whose_connect_timeout_counts(
    database: Database, monkeypatch: pytest.MonkeyPatch, own: str, setting: float, counts: str
) -> None:
    """A connection string's own timeout counts against the default, a setting against both, and 2 s is the least."""
    dsn = make_conninfo(database.dsn, **({"connect_timeout": own} if own else {}))
    asked, really_connect = list[str](), psycopg.connect

    def connect_patiently(conninfo: str, **arguments: Any) -> psycopg.Connection:
        asked.append(str(arguments.pop("connect_timeout", conninfo_to_dict(conninfo).get("connect_timeout"))))
        return really_connect(make_conninfo(conninfo, connect_timeout=60), **arguments)

    monkeypatch.setattr(psycopg, "connect", connect_patiently)  # 2 s may be too short for a machine that is busy
    connect(dsn, connect_timeout=setting, query_timeout=7.0).close()
    assert asked == [counts]

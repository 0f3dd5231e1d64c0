"""An older application's logs table: unpartitioned, and still being written."""

import psycopg
from servers import Database

TABLE = """
CREATE TABLE app_logs (
    id bigserial PRIMARY KEY,
    timestamp timestamptz NOT NULL DEFAULT now(),
    level varchar(20) NOT NULL,
    logger_name varchar(255) NOT NULL,
    process_id integer,
    thread_id bigint,
    thread_name varchar(255),
    hostname varchar(255),
    message text NOT NULL,
    exception text,
    function_name varchar(255),
    module varchar(255),
    filename varchar(255),
    lineno integer,
    pathname text,
    extra_data jsonb,
    created_at timestamptz DEFAULT now()
)
"""
FILL = """
INSERT INTO app_logs (timestamp, level, logger_name, process_id, thread_id, thread_name, hostname, message, lineno,
                      extra_data, created_at)
SELECT now() - number * interval '1 hour',
       (ARRAY['DEBUG', 'INFO', 'WARNING', 'ERROR'])[1 + number %% 4], 'shop.till', 42,
       140000000000000 + number, 'MainThread', 'web-1', 'row ' || number, number, jsonb_build_object('n', number),
       now() - number * interval '1 hour'
FROM generate_series(%(first)s::integer, %(last)s::integer) AS number
"""


def make_ancestor(database: Database, rows: int) -> None:
    """Make the table, with rows that are an hour apart."""
    with database.connect() as connection:
        connection.execute(TABLE)
        fill(connection, 1, rows)


def fill(connection: psycopg.Connection, first: int, last: int) -> None:
    """Go on writing."""
    connection.execute(FILL, {"first": first, "last": last})


def make_table(database: Database, columns: str, *rows: str) -> None:
    """Make a table with these columns beside its key, and put rows into it."""
    with database.connect() as connection:
        connection.execute(f"CREATE TABLE app_logs (id serial PRIMARY KEY, {columns})".encode())
        for row in rows:
            connection.execute(f"INSERT INTO app_logs VALUES (DEFAULT, {row})".encode())


def adopted(database: Database) -> list[str]:
    """The messages that were adopted, in the order of their arrival."""
    with database.connect() as connection:
        return [row[0] for row in connection.execute("SELECT message FROM dblog_logs ORDER BY id")]

"""What PostgreSQL does for a question: the plans of the very statements by which dblog's functions ask it."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from servers import Database

from dblog.store.engine import reading
from dblog.store.names import Names

Node = dict[str, Any]


def plans_of(database: Database, ask: Callable[[sa.Connection, Names], object]) -> list[Node]:
    """The executed plan of each statement of a question, with the buffers it touched, in order."""
    statements: list[tuple[str, Any]] = []
    with reading(database.settings.database) as (connection, names):
        sa.event.listen(
            connection,
            "before_cursor_execute",
            lambda _connection, _cursor, text, values, _context, _many: statements.append((text, values)),
        )
        ask(connection, names)
        connection.rollback()
        asked = statements.copy()
        return [_explained(connection, text, values) for text, values in asked]


def nodes(plan: Node) -> Iterator[Node]:
    """A node and all below it that were executed."""
    if plan["Actual Loops"]:
        yield plan
        for child in plan.get("Plans", []):
            yield from nodes(child)


def buffers(plans: list[Node]) -> int:
    """The buffers that all of the plans touched, in memory or not."""
    return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)


def _explained(connection: sa.Connection, text: str, values: Any) -> Node:
    answer = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", values).scalar_one()
    plan: Node = answer[0]["Plan"]
    return plan

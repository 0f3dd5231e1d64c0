"""How far the adoption of a table has come, as the settings of the database remember it.

The note is changed by the transaction that stores a batch: both are there or none. The ledger alone would not do,
because it forgets.
"""

import json
from dataclasses import asdict, dataclass
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dblog.store.adopting.source import Source
from dblog.store.names import Names
from dblog.store.schema import settings_table


@dataclass(frozen=True, slots=True)
class State:
    """What was adopted of a table so far."""

    writer_id: str
    """The writer under which the ledger knows the batches."""
    batch_seq: int = 0
    """The number of the last batch."""
    upto: int | None = None
    """The id of the last row; None before the first batch."""
    rows: int = 0
    """Rows in all batches."""
    file: str | None = None
    """Which file the table was then; None where that does not matter."""
    witness: str | None = None
    """A digest of the last row."""


def read_state(connection: sa.Connection, names: Names, source: Source, *, lock: bool = False) -> State:
    """What is noted of a table; a new writer where nothing is.

    Args:
        connection: The connection.
        names: The tables that take the rows.
        source: The old table.
        lock: Keep others from changing the note until the end of the transaction.
    """
    table = settings_table(names)
    query = sa.select(table.c.value).where(table.c.name == _setting(source))
    stored = connection.scalar(query.with_for_update() if lock else query)
    return State(uuid4().hex) if stored is None else State(**json.loads(stored))


def write_state(connection: sa.Connection, names: Names, source: Source, state: State) -> None:
    """Note how far it has come."""
    new = insert(settings_table(names)).values(name=_setting(source), value=json.dumps(asdict(state)))
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


def _setting(source: Source) -> str:
    return f"adopted {source.title}"

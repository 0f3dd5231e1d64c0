"""Whether a table still is the one of which rows were adopted: it may be emptied, or made anew, and count from 1 again.

Then numbers that were adopted stand for other rows, which must neither be left out nor taken for new ones twice.
"""

from dataclasses import replace
from typing import Final

import sqlalchemy as sa

from dblog.errors import DblogError
from dblog.store.adopting.source import FILE, Source, digest
from dblog.store.adopting.state import State, read_state
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.quoting import literal


def resume(connection: sa.Connection, names: Names, source: Source, anew: bool | None) -> State:
    """Where to go on with a table.

    Args:
        connection: In a transaction.
        names: The tables that take the rows.
        source: The old table.
        anew: Where it is not the table of which rows were adopted: take all that is in it; False: what has a larger
            number than those; None: an error. It means nothing where it still is that table.

    Raises:
        DblogError: It is not, as far as one can see, and `anew` does not say what to do.
    """
    state = read_state(connection, names, source)
    if is_same(connection, source, state):
        return state
    if anew is None:
        raise DblogError(
            f"{source.title} was emptied or made anew since {state.rows:,} of its rows were adopted: --anew takes all "
            f"that is in it now; where the rows are still those of then, --go-on takes those after the id {state.upto}"
        )
    return replace(state, upto=None if anew else state.upto, file=None, witness=None)


def is_same(connection: sa.Connection, source: Source, state: State) -> bool:
    """Whether the last row that was adopted is in the table; where it is gone, nothing must hint at a new beginning.

    A table that is rewritten as it is, by VACUUM FULL or from a dump, keeps that row. One that is emptied and counts on
    has no number that was adopted. Before the first batch there is only the file to go by.
    """
    if state.file is None:
        return True
    if state.upto is None:
        return file_of(connection, source) == state.file
    alike = "true" if _is_old(state) else f"{_DIGEST} = {literal(state.witness)}"
    found = connection.scalar(verbatim(_last_row(source, state.upto, f"bool_or({alike})")))
    if found is not None:
        return bool(found)
    earlier = f"SELECT EXISTS (SELECT FROM {source.qualified} s WHERE s.id <= {state.upto})"
    return not connection.scalar(verbatim(earlier)) or file_of(connection, source) == state.file


def _is_old(state: State) -> bool:
    """Whether the last row was noted by an MD5, which not every server computes: then its number has to do."""
    return state.witness is not None and len(state.witness) == _MD5


def witness_of(connection: sa.Connection, source: Source, upto: int) -> str | None:
    """A digest of the row with a number, or of one of them; None where there is none."""
    witness: str | None = connection.scalar(verbatim(_last_row(source, upto, f"min({_DIGEST})")))
    return witness


def file_of(connection: sa.Connection, source: Source) -> str | None:
    """What `Source.file` is now; None where the table is gone."""
    file: str | None = connection.scalar(_FILE, {"table": source.qualified})
    return file


_DIGEST = digest("""concat_ws(' ', s."timestamp", s.message)""")
_MD5: Final = 32
"""Digits of an MD5."""
_FILE = sa.text(f"SELECT {FILE} FROM pg_class c WHERE oid = to_regclass(:table)")


def _last_row(source: Source, upto: int, value: str) -> str:
    return f"SELECT {value} FROM {source.qualified} s WHERE s.id = {upto}"

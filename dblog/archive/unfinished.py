"""Files that are being written, and what is left of them where a run was cut short.

A note beside each says that it is not finished; it goes when the manifest is there. So what was left is told from a
file whose manifest was lost, and which may be all that there is of its rows: that is nobody's to remove.
"""

import re
from typing import Final

from dblog.archive.interfaces import Store
from dblog.durable import UNFINISHED

NUMBERED: Final = r"-\d+\.(parquet|jsonl\.gz)"
"""How the names of files with rows end, as a regular expression."""

_NOTE: Final = ".begun"


def begin(store: Store, path: str) -> None:
    """Note that a file is going to be written."""
    with store.writing(_note_of(path)):
        pass


def end(store: Store, path: str) -> None:
    """Take the note back: the file counts."""
    store.delete(_note_of(path))


def clear(store: Store, folder: str, stem: str) -> None:
    """Remove what was left in a folder of the files whose names begin so; nobody else may be writing them."""
    rows, note = re.escape(stem) + NUMBERED, re.escape(_NOTE)
    hidden = re.compile(rf"\.({rows}|_{rows}(\.json|{note})){re.escape(UNFINISHED)}")
    names = store.names(folder)
    for name in names:
        if hidden.fullmatch(name):
            store.delete(f"{folder}/{name}")
        elif re.fullmatch(f"_{rows}{note}", name):
            file = name.removeprefix("_").removesuffix(_NOTE)
            if file in names and f"_{file}.json" not in names:
                store.delete(f"{folder}/{file}")
            store.delete(f"{folder}/{name}")  # at last: the next run may have to go on with this


def _note_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/_{name}{_NOTE}"

"""Files that are being written, and what is left of them where a run was cut short.

A note beside each says that it is not finished; it goes when the manifest is there, and means nothing beside one. So
what was left is told from a file whose manifest was lost, and which may be all that there is of its rows: that is
nobody's to remove.
"""

import re
from collections.abc import Collection
from contextlib import suppress
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
    with suppress(OSError):  # a store may let nobody delete; beside a manifest the note means nothing
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
            file = _file_of(name)
            if f"_{file}.json" in names:
                end(store, f"{folder}/{file}")
                continue
            if file in names:
                store.delete(f"{folder}/{file}")
            store.delete(f"{folder}/{name}")  # at last: the next run may have to go on with this


def begun_in(names: Collection[str]) -> list[str]:
    """The files that are being written, or were when a run was cut short; they need not be there yet."""
    noted = (_file_of(name) for name in names if re.fullmatch(f"_.*{NUMBERED}{re.escape(_NOTE)}", name))
    return [file for file in noted if f"_{file}.json" not in names]


def lost_in(names: Collection[str]) -> list[str]:
    """The files with rows whose manifests were lost."""
    files = (name for name in names if re.fullmatch(f"[^._].*{NUMBERED}", name))
    return [file for file in files if not {f"_{file}.json", f"_{file}{_NOTE}"} & set(names)]


def _file_of(note: str) -> str:
    return note.removeprefix("_").removesuffix(_NOTE)


def _note_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/_{name}{_NOTE}"

"""The formats of an archived file."""

from typing import Final, Literal

from dblog.archive.interfaces import Format
from dblog.errors import DblogError

FormatName = Literal["parquet", "jsonl"]

FORMAT_NAMES: Final[tuple[FormatName, ...]] = ("parquet", "jsonl")


def format_of(name: str) -> Format:
    """The format of a name.

    Raises:
        DblogError: What it needs is not installed, or it is not known.
    """
    if name == "parquet":
        from dblog.archive.parquet import Parquet

        return Parquet()
    if name == "jsonl":
        from dblog.archive.jsonlines import JsonLines

        return JsonLines()
    raise DblogError(f"the archive has a file of the format {name!r}; this release reads {', '.join(FORMAT_NAMES)}")

"""The newest archived records that match a filter, found by DuckDB in the files of the days that are asked for."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from glob import escape
from typing import Any, Final
from uuid import UUID

from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.conditions import Renderer
from dblog.archive.extra import needed
from dblog.archive.s3 import S3Store
from dblog.archive.stores import clear_errors
from dblog.columns import LOG_COLUMNS, SERVER_COLUMNS
from dblog.errors import DblogError
from dblog.reading.query import CHUNK, Query

MEMORY: Final = "1GB"
"""What DuckDB may take; a larger result is sorted on disk."""
THREADS: Final = 4
LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes of one record in JSON lines, of which each thread keeps a few."""

_COLUMNS: Final = tuple((column.name, column.type) for column in (*LOG_COLUMNS, *SERVER_COLUMNS))
_MOMENT: Final = "timestamptz"
_KINDS: Final = {"integer": "INTEGER", "bigint": "BIGINT", _MOMENT: "TIMESTAMPTZ"}
_JSON_KINDS: Final = {"jsonb": "JSON"}
"""What is no text in JSON lines, but is in Parquet."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def search(archive: Archive, query: Query) -> Iterator[Mapping[str, Any]]:
    """The records, oldest first, as `dblog.reading.query.records` gives them.

    Raises:
        DblogError: The extra is not installed, the archive cannot be read, or a file is damaged.
    """
    duckdb = needed("duckdb")
    with clear_errors(archive.where):
        files = files_of(archive, query)
        if not files:
            return
        with tempfile.TemporaryDirectory(prefix="dblog-") as folder:
            limits = {"memory_limit": MEMORY, "threads": THREADS, "temp_directory": folder}
            connection = duckdb.connect(config=limits)
            with connection:
                if isinstance(archive.store, S3Store):
                    connection.register_filesystem(_filesystem_of(archive.store))
                try:
                    found = connection.execute(*_statement(archive, files, query))
                    while rows := found.fetchmany(CHUNK):
                        yield from map(_record, rows)
                except duckdb.Error as error:
                    problem = str(error).split("\n", 1)[0]
                    raise DblogError(f"archive {archive.where}: it cannot be searched: {problem}") from None


def files_of(archive: Archive, query: Query) -> list[ArchivedFile]:
    """The files that may have rows of the window; no other day is looked at."""
    window = query.window
    first, last = (moment.astimezone(UTC).date() for moment in (window.since, window.until))
    return [file for file in archive.files(first, last) if file.manifest.overlaps(window.since, window.until)]


def _filesystem_of(store: S3Store) -> Any:
    return needed("fsspec.implementations.arrow").ArrowFSWrapper(store.filesystem)


def _statement(archive: Archive, files: Sequence[ArchivedFile], query: Query) -> tuple[str, list[Any]]:
    renderer = Renderer()
    since, until = (
        f"CAST({renderer.value(moment.isoformat())} AS TIMESTAMPTZ)"
        for moment in (query.window.since, query.window.until)
    )
    where = f'"timestamp" >= {since} AND "timestamp" < {until} AND ({renderer.condition(query.term)})'
    newest = f'ORDER BY "timestamp" DESC, id DESC LIMIT {query.limit}' if query.limit else ""
    shown = ", ".join(f'epoch_us("{name}")' if kind == _MOMENT else f'"{name}"' for name, kind in _COLUMNS)
    return (
        f"WITH found AS (SELECT * FROM ({_sources(archive, files)}) WHERE {where} {newest}) "
        f'SELECT {shown} FROM found ORDER BY found."timestamp", found.id',
        renderer.parameters,
    )


def _sources(archive: Archive, files: Sequence[ArchivedFile]) -> str:
    """All files as one relation that has the columns of this release, whichever they were written with."""
    kinds = ", ".join(f'CAST(NULL AS {_kind(kind)}) AS "{name}"' for name, kind in _COLUMNS)
    parts = [f"SELECT {kinds} LIMIT 0"]
    known = {name for name, _ in _COLUMNS}
    for form in sorted({file.manifest.format for file in files}):
        chosen = [file for file in files if file.manifest.format == form]
        every = {column.name for file in chosen for column in file.manifest.columns}
        names = ", ".join(f'"{name}"' for name in sorted(every & known))
        parts.append(f"SELECT {names} FROM {_reader(archive, form, chosen)}")
    return " UNION ALL BY NAME ".join(f"({part})" for part in parts)


def _reader(archive: Archive, form: str, files: Sequence[ArchivedFile]) -> str:
    paths = ", ".join(_literal(escape(f"{archive.store.location}/{file.path}")) for file in files)
    if form == "parquet":
        return f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
    columns = ", ".join(f"{_literal(name)}: '{_JSON_KINDS.get(kind, _kind(kind))}'" for name, kind in _COLUMNS)
    read = (
        f"read_json([{paths}], format = 'newline_delimited', compression = 'gzip', columns = {{{columns}}}, "
        f"maximum_object_size = {LONGEST_LINE}, hive_partitioning = false)"
    )
    return f"(SELECT * REPLACE (CAST(extra_data AS VARCHAR) AS extra_data) FROM {read})"


def _kind(name: str) -> str:
    return _KINDS.get(name, "VARCHAR")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _record(row: Sequence[Any]) -> dict[str, Any]:
    return {name: _value(kind, value) for (name, kind), value in zip(_COLUMNS, row, strict=True)}


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == _MOMENT:
        return _EPOCH + timedelta(microseconds=value)
    if kind == "uuid":
        return UUID(value)
    return json.loads(value) if kind == "jsonb" else value

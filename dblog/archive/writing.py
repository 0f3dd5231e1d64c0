"""A partition becomes files, one for each UTC day, that are read back before they count.

An archive only grows. What it has of a day already is compared with the partition, row by row, and only what it lacks
is written: archiving twice changes nothing, and a partition that came back with a few late rows replaces nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Final, cast

import sqlalchemy as sa
from psycopg import sql

from dblog.archive import claims
from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.formats import FormatName, format_of
from dblog.archive.installation import Installation, installation_of
from dblog.archive.manifest import Manifest
from dblog.archive.metering import Advance, Counted, Hashed
from dblog.archive.relation import Extent, columns_of, days_of, driver_of, extent_of, pieces, rows_of_day
from dblog.archive.staging import STAGED, make_stage, stage
from dblog.archive.stores import clear_errors
from dblog.archive.unfinished import begin
from dblog.columns import SCHEMA_REVISION
from dblog.errors import DblogError
from dblog.store.engine import verbatim
from dblog.store.names import Names

LACKING: Final = "dblog_lacking"
"""The temporary table of what a partition has and the archive has not."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of the rows that a partition has of a day."""

    partition: str
    day: date
    rows: int
    """Rows that the partition has."""
    written: int = 0
    """Those of them that the archive did not have."""
    file: str | None = None
    """The new file, below the root of the archive; None where there was nothing to write."""
    size: int = 0
    """Its size."""


def archive_partition(
    engine: sa.Engine,
    names: Names,
    partition: str,
    archive: Archive,
    form: FormatName,
    *,
    thorough: bool,
    advance: Advance = lambda _: None,
) -> Iterator[Archived]:
    """Bring the rows of a partition into an archive, a day at a time, each in a transaction of its own.

    Two at once take turns, a day each; nobody else is kept waiting.

    Args:
        engine: From `dblog.store.engine`; a connection of its own is opened.
        names: The tables.
        partition: The name of a partition, attached or not.
        archive: Where to.
        form: The format of new files.
        thorough: Compare every row with what the archive has. Otherwise as many rows are taken for the same rows, which
            is good enough where nothing is dropped afterwards.
        advance: Told of rows that were written or found to be there.

    Raises:
        DblogError: The archive is another installation's, the store refused or is full, an archived file is damaged, or
            what was read back is not what was written. The days before that are archived.
    """
    with clear_errors(archive.where), engine.connect() as opened:
        connection = opened.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            days = list(days_of(connection, names.qualified(partition)))
            installation = installation_of(connection, names)
            if days:
                claims.take_turns(connection, names, "claim")
                claims.claim(archive, installation)
        for day in days:
            with connection.begin():
                claims.take_turns(connection, names, str(day))
                one = _Day(connection, archive, installation, names.qualified(partition), partition, day, form, advance)
                done = one.archive(thorough=thorough)
            yield done


class _Day:
    """One day of one partition, in one transaction that nobody else archives the day in."""

    def __init__(
        self,
        connection: sa.Connection,
        archive: Archive,
        installation: Installation,
        table: str,
        partition: str,
        day: date,
        form: FormatName,
        advance: Advance,
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._installation = installation
        self._table = table
        self._partition = partition
        self._day = day
        self._form = form
        self._advance = advance

    def archive(self, *, thorough: bool) -> Archived:
        """Write what the archive lacks."""
        self._archive.clear(self._day, self._partition)
        source = rows_of_day(self._table, self._day)
        extent = extent_of(self._connection, source)
        if extent is None:
            return Archived(self._partition, self._day, 0)
        held = [file for file in self._archive.files_of(self._day) if file.manifest.overlaps(extent.first, extent.last)]
        lacking: Extent | None = extent
        if held and not thorough and sum(file.manifest.rows for file in held) == extent.rows:
            lacking = None
        elif held:
            lacking = self._compare(source, held)
            source = LACKING
        self._advance(extent.rows - (lacking.rows if lacking else 0))
        done = Archived(self._partition, self._day, extent.rows)
        return self._write(source, lacking, done) if lacking else done

    def _compare(self, source: str, held: list[ArchivedFile]) -> Extent | None:
        """Find the rows that none of the files has, with the same values in all columns."""
        make_stage(self._connection, self._table)
        for file in held:
            self._archive.check(file)
            stage(self._connection, self._archive, file)
        self._connection.execute(verbatim(f"ANALYZE {STAGED}"))
        columns = columns_of(self._connection, self._table)
        ours, theirs = (
            ", ".join(sql.Identifier(side, column.name).as_string(None) for column in columns)
            for side in ("mine", "held")
        )
        self._connection.execute(
            verbatim(
                f"CREATE TEMPORARY TABLE {LACKING} ON COMMIT DROP AS SELECT * FROM {source} AS mine "
                f'WHERE NOT EXISTS (SELECT FROM {STAGED} AS held WHERE held."timestamp" = mine."timestamp" '
                f"AND held.id = mine.id AND ROW({theirs})::text = ROW({ours})::text)"
            )
        )
        return extent_of(self._connection, LACKING)

    def _write(self, source: str, extent: Extent, done: Archived) -> Archived:
        """Write a file, read it back, and let it count."""
        columns = columns_of(self._connection, self._table)
        form = format_of(self._form)
        path = self._archive.path_for(self._day, self._partition, form.suffix)
        rows = Counted(self._advance)
        begin(self._archive.store, path)
        with self._archive.store.writing(path) as sink, driver_of(self._connection).cursor() as cursor:
            hashed = Hashed(sink)
            statement = form.copy_out(sql.SQL(source), columns)
            try:
                form.write(rows.of(pieces(cursor, statement)), columns, cast("IO[bytes]", hashed))
            except ValueError as error:
                problem = str(error).split("\n", 1)[0]
                raise DblogError(f"{self._partition}: a row cannot be written as {self._form}: {problem}") from None
        manifest = Manifest(
            file=path.rpartition("/")[2],
            format=self._form,
            partition=self._partition,
            rows=extent.rows,
            time_from=extent.first,
            time_to=extent.last,
            size=hashed.size,
            sha256=hashed.digest.hexdigest(),
            rows_sha256=rows.digest.hexdigest(),
            schema_revision=SCHEMA_REVISION,
            columns=columns,
            written_at=datetime.now(UTC),
            written_by=_release(),
            installation=self._installation,
        )
        file = ArchivedFile(self._day, manifest, path)
        self._prove(file, rows.count)
        self._let_count(file)
        return Archived(done.partition, done.day, done.rows, extent.rows, path, hashed.size)

    def _prove(self, file: ArchivedFile, sent: int) -> None:
        """Read a file back and compare it with what the server sent."""
        if sent != file.manifest.rows:
            raise DblogError(f"{self._partition}: the server sent {sent} rows and counted {file.manifest.rows}")
        self._archive.check(file)
        for _ in self._archive.rows(file):
            pass

    def _let_count(self, file: ArchivedFile) -> None:
        """Add the manifest. Whoever takes the archive over removes what has none: it may be too late for this file."""
        claims.check(self._archive, self._installation)  # lest a manifest of another is replaced
        self._archive.put(self._day, file.manifest)
        claims.check(self._archive, self._installation)
        with self._archive.opened(file):
            pass


def _release() -> str:
    try:
        return f"dblog {version('dblog')}"
    except PackageNotFoundError:
        return "dblog, from a source tree"

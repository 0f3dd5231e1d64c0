"""Whose an archive is: the installation that archived into it first has left a claim there, and no other may.

A claim is written first and looked at afterwards, because not every store can make a file only where there is none. So
of two that come at the same moment at least one sees the other, and takes its claim back.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Final

import sqlalchemy as sa

from dblog.archive.catalog import Archive
from dblog.archive.installation import Installation
from dblog.errors import DblogError
from dblog.store.names import Names

_BEGIN: Final = "_installation-"
_END: Final = ".json"


def take_turns(connection: sa.Connection, names: Names, what: str) -> None:
    """Let nobody else of the installation do the same until the open transaction ends: stores have no locks."""
    key = sa.func.hashtextextended(f"archive {names.lock} {what}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def claim(archive: Archive, mine: Installation) -> None:
    """Make sure that an installation may archive here; where nobody has archived yet, it may from now on.

    Its processes have to take turns.

    Raises:
        DblogError: The archive belongs to another, or a claim is damaged.
    """
    owners = list(_owners(archive))
    if owners:
        _refuse_others(archive, mine, owners)
        return
    _refuse_others(archive, mine, _newest_origins(archive))
    _write(archive, mine)
    try:
        _refuse_others(archive, mine, _owners(archive))
    except DblogError:
        archive.store.delete(_path(archive, _name(mine)))
        raise


def take_over(archive: Archive, mine: Installation) -> None:
    """Make an archive the installation's own, whosever it was; its processes have to take turns."""
    _write(archive, mine)
    for name in _names(archive):
        if name != _name(mine):
            archive.store.delete(_path(archive, name))


def _refuse_others(archive: Archive, mine: Installation, owners: Iterable[Installation]) -> None:
    for owner in owners:
        if not owner.is_same(mine):
            raise DblogError(
                f"archive {archive.where}: it belongs to {owner}, this is {mine}; give each a folder of its own or, "
                "where this one has replaced the other, run `dblog archive --take-over` once"
            )


def _owners(archive: Archive) -> Iterator[Installation]:
    for name in _names(archive):
        path = _path(archive, name)
        try:
            with archive.store.reading(path) as source:
                document = source.read()
        except FileNotFoundError:
            continue  # taken back since its name was read
        try:
            yield Installation.from_json(json.loads(document))
        except (ValueError, TypeError):
            raise DblogError(
                f"{archive.store.location}/{path}: it does not say whose the archive is; if it is this installation's, "
                "run `dblog archive --take-over` once"
            ) from None


def _newest_origins(archive: Archive) -> list[Installation]:
    """Whose rows the files of the newest day are: copies of an archive may have come without the claim."""
    found = next(filter(None, map(archive.files_of, reversed(archive.days()))), [])
    return [file.manifest.installation for file in found if file.manifest.installation]


def _write(archive: Archive, mine: Installation) -> None:
    with archive.store.writing(_path(archive, _name(mine))) as sink:
        sink.write(_document(mine))


def _document(installation: Installation) -> bytes:
    return json.dumps(asdict(installation), ensure_ascii=False, indent=1).encode() + b"\n"


def _names(archive: Archive) -> list[str]:
    return [name for name in archive.store.names(archive.folder) if name.startswith(_BEGIN) and name.endswith(_END)]


def _name(installation: Installation) -> str:
    """A name of its own for each, so that none can replace another's."""
    return f"{_BEGIN}{hashlib.sha256(_document(installation)).hexdigest()[:12]}{_END}"


def _path(archive: Archive, name: str) -> str:
    return f"{archive.folder}/{name}"

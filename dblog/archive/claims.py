"""Whose an archive is: the installation that archived into it first has left a claim there, and no other may.

A claim is written first and looked at afterwards, because not every store can make a file only where there is none. So
of two that come at the same moment at least one sees the other, and takes its claim back. Until that is done, the claim
says that it is unfinished: a process that is killed in between leaves what its own installation goes on with.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

import sqlalchemy as sa

from dblog.archive.catalog import Archive
from dblog.archive.installation import Installation
from dblog.errors import DblogError
from dblog.store.names import Names

_BEGIN: Final = "_installation-"
_END: Final = ".json"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a file says of the archive."""

    owner: Installation
    unfinished: Literal["claiming", "taking over"] | None = None
    """What the installation had begun and may have been killed in; None once the archive is its own."""

    def to_json(self) -> bytes:
        """The document."""
        more = {"unfinished": self.unfinished} if self.unfinished else {}
        return json.dumps(asdict(self.owner) | more, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, document: bytes) -> Self:
        """Understand a document.

        Raises:
            ValueError: It is none.
            TypeError: The same.
        """
        fields = json.loads(document)
        unfinished = fields.pop("unfinished", None) if isinstance(fields, dict) else None
        if unfinished not in (None, "claiming", "taking over"):
            raise ValueError
        return cls(Installation.from_json(fields), unfinished)


def take_turns(connection: sa.Connection, names: Names, what: str) -> None:
    """Let nobody else of the installation do the same until the open transaction ends: stores have no locks."""
    key = sa.func.hashtextextended(f"archive {names.lock} {what}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def check(archive: Archive, mine: Installation) -> None:
    """Make sure that an installation may archive here, now or once it has claimed the archive; nothing is changed.

    Raises:
        DblogError: The archive belongs to another, or a claim is damaged.
    """
    if _standing(archive, mine) is None:
        _refuse_others(archive, mine, _claims(archive))


def claim(archive: Archive, mine: Installation) -> None:
    """Make sure that an installation may archive here; where nobody has archived yet, it may from now on.

    Its processes have to take turns.

    Raises:
        DblogError: The archive belongs to another, or a claim is damaged.
    """
    standing = _standing(archive, mine)
    if standing == "taking over":
        take_over(archive, mine)
    elif standing is None:
        _write(archive, _Claim(mine, "claiming"))
        try:
            _refuse_others(archive, mine, _claims(archive))
        except DblogError:
            archive.store.delete(_path(archive, _name(mine)))
            raise
        _write(archive, _Claim(mine))


def take_over(archive: Archive, mine: Installation) -> None:
    """Make an archive the installation's own, whosever it was; its processes have to take turns."""
    _write(archive, _Claim(mine, "taking over"))
    for name in _names(archive):
        if name != _name(mine):
            archive.store.delete(_path(archive, name))
    _write(archive, _Claim(mine))


def _standing(archive: Archive, mine: Installation) -> Literal["taking over", "owner"] | None:
    """Whose the archive is: the installation's, soon, or nobody's as far as claims that were finished say."""
    found = list(_claims(archive))
    if any(each.owner.is_same(mine) and each.unfinished == "taking over" for each in found):
        return "taking over"
    binding = [each for each in found if each.unfinished != "claiming"]
    _refuse_others(archive, mine, binding)
    if binding:
        return "owner"
    _refuse_others(archive, mine, map(_Claim, _newest_origins(archive)))
    return None


def _refuse_others(archive: Archive, mine: Installation, claims: Iterable[_Claim]) -> None:
    for owner in (each.owner for each in claims):
        if not owner.is_same(mine):
            raise DblogError(
                f"archive {archive.where}: it belongs to {owner}, this is {mine}; give each a folder of its own or, "
                "where this one has replaced the other, run `dblog archive --take-over` once"
            )


def _claims(archive: Archive) -> Iterator[_Claim]:
    for name in _names(archive):
        path = _path(archive, name)
        try:
            with archive.store.reading(path) as source:
                document = source.read()
        except FileNotFoundError:
            continue  # taken back since its name was read
        try:
            yield _Claim.from_json(document)
        except (ValueError, TypeError):
            raise DblogError(
                f"{archive.store.location}/{path}: it does not say whose the archive is; if it is this installation's, "
                "run `dblog archive --take-over` once"
            ) from None


def _newest_origins(archive: Archive) -> list[Installation]:
    """Whose rows the files of the newest day are: copies of an archive may have come without the claim."""
    found = next(filter(None, map(archive.files_of, reversed(archive.days()))), [])
    return [file.manifest.installation for file in found if file.manifest.installation]


def _write(archive: Archive, claim: _Claim) -> None:
    with archive.store.writing(_path(archive, _name(claim.owner))) as sink:
        sink.write(claim.to_json())


def _names(archive: Archive) -> list[str]:
    return [name for name in archive.store.names(archive.folder) if name.startswith(_BEGIN) and name.endswith(_END)]


def _name(installation: Installation) -> str:
    """A name of its own for each, so that none can replace another's."""
    return f"{_BEGIN}{hashlib.sha256(_Claim(installation).to_json()).hexdigest()[:12]}{_END}"


def _path(archive: Archive, name: str) -> str:
    return f"{archive.folder}/{name}"

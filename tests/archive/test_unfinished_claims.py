"""Claims whose process was killed: their installation goes on with them, and nobody else does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from archived import archive_at

from dblog.archive.catalog import Archive
from dblog.archive.claims import check, claim, take_over
from dblog.archive.installation import Installation
from dblog.archive.stores import LocalStore
from dblog.errors import DblogError

SHOP = Installation("7300000000000000001", "shop", "public", "dblog")


def documents(archive: Archive) -> list[str]:
    """What the claims say."""
    return [path.read_text(encoding="utf-8") for path in Path(archive.where).iterdir()]


class DyingStore(LocalStore):
    """A folder whose process dies at the n-th thing that it changes."""

    def __init__(self, root: Path, steps: int) -> None:
        super().__init__(root)
        self._left = steps

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Write, and die or not."""
        with super().writing(path) as sink:
            yield sink
        self._step()

    def delete(self, path: str) -> None:
        """Remove, and die or not."""
        super().delete(path)
        self._step()


def dies(work: Callable[[Archive, Installation], None], folder: Path, steps: int, who: Installation) -> None:
    """Do something, and be killed before its end."""
    with pytest.raises(KeyboardInterrupt):
        work(Archive(DyingStore(folder, steps), "dblog_logs"), who)


def test_a_claim_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """An installation goes on with what its own killed process has begun; meanwhile the archive is not another's."""
    archive, other = archive_at(tmp_path), replace(SHOP, database="other")
    dies(claim, tmp_path, 1, SHOP)
    for attempt in (check, claim):
        with pytest.raises(DblogError, match="it belongs to the database shop"):
            attempt(archive, other)
    check(archive, SHOP)
    claim(archive, SHOP)
    assert ["unfinished" in document for document in documents(archive)] == [False]


def test_of_two_claims_that_were_cut_short_one_is_finished(tmp_path: Path) -> None:
    """Where two had begun at the same moment and were killed, the first to come back gives way, the second has it."""
    archive, other = archive_at(tmp_path), replace(SHOP, database="other")
    dies(claim, tmp_path / "there", 1, other)
    dies(claim, tmp_path, 1, SHOP)
    (document,) = (tmp_path / "there" / "dblog_logs").iterdir()
    document.rename(Path(archive.where, document.name))
    for attempt in (check, claim, claim):
        with pytest.raises(DblogError, match="it belongs to"):
            attempt(archive, SHOP)
    claim(archive, other)
    with pytest.raises(DblogError, match="it belongs to the database other"):
        claim(archive, SHOP)
    assert len(documents(archive)) == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_a_take_over_that_was_cut_short_is_finished(tmp_path: Path, steps: int) -> None:
    """Whoever was asked to take an archive over goes on with it by itself; from the first moment others are refused."""
    archive, other = archive_at(tmp_path), replace(SHOP, database="other")
    claim(archive, SHOP)
    dies(take_over, tmp_path, steps, other)
    with pytest.raises(DblogError, match="it belongs to the database other"):
        claim(archive, SHOP)
    check(archive, other)
    claim(archive, other)
    assert ["unfinished" in document for document in documents(archive)] == [False]

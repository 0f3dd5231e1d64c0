"""What is wrong with an archive or one of its files: whoever watches over it has to tell damage from a bad moment."""

from typing import Final

from dblog.errors import DblogError


class StoreError(DblogError):
    """The store refuses what is asked of it: nothing is known of what it holds."""


class Unusable(DblogError):  # noqa: N818 - reads as what it says
    """A file of an archive, or its manifest, cannot be used."""

    def __init__(self, location: str, path: str, reason: str) -> None:
        super().__init__(f"{location}/{path}: {reason}")
        self.path: Final = path
        """Below the root of the archive."""
        self.reason: Final = reason


class Damaged(Unusable):
    """It is missing, or not what it was when it was written."""


class Unread(Unusable):
    """The store refuses it now: nothing is known of what is in it."""

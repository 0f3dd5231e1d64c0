"""What a check says: of a database, of a spool, or of a folder of log files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "warning", "error"]

SEVERITY: Final[tuple[State, ...]] = ("ok", "warning", "error")
"""The states; the place of one is the exit code of the command that found it."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found."""

    name: str
    state: State
    finding: str
    remedy: str | None = None
    """The command that mends it, where one does."""


def worst(checks: Sequence[Check]) -> State:
    """The most severe state among the checks."""
    return max((check.state for check in checks), key=SEVERITY.index, default="ok")

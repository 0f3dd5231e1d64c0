"""The databases that rows of a spool are for: how they are named, chosen, and what ended writers left for each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dblog.errors import UsageError
from dblog.location import place_of, tables_of
from dblog.sinks import inspection, survey
from dblog.sinks.inspection import BatchName
from dblog.sinks.segments import Figures
from dblog.sinks.survey import Writer


@dataclass(frozen=True, slots=True)
class Left:
    """What is in the files of writers."""

    by_target: dict[str, Figures] = field(default_factory=dict)
    closed_to_us: list[str] = field(default_factory=list)
    """Paths that could not be looked into, with the reason."""

    def of(self, target: str) -> Figures:
        """What is for one target."""
        return self.by_target.get(target, Figures())


def left_by(writers: Iterable[Writer]) -> Left:
    """What some writers have on the disk, each batch counted once, for whichever target."""
    left = Left()
    for writer in writers:
        if writer.problem is not None:
            left.closed_to_us.append(f"{writer.home}: {writer.problem}")
        seen: set[BatchName] = set()
        for file in writer.files:
            if file.kind == "refused":
                continue
            try:
                found = inspection.examine(file, seen)
            except FileNotFoundError:  # taken over in the meantime
                continue
            except OSError as error:
                left.closed_to_us.append(f"{file.path}: cannot be read: {error.strerror}")
                continue
            if found.header is not None:
                target = found.header.target
                left.by_target[target] = left.of(target) + Figures(found.frames, found.levels, found.bytes)
    return left


def shown(target: str) -> str:
    """A target for people: `app@db.example:5432/app, tables dblog_*`."""
    tables = tables_of(target)
    return f"{place_of(target)}, tables {tables}" if tables else target


def targets_in(directory: Path) -> set[str]:
    """The targets of all rows below a spool directory.

    Raises:
        OSError: It could not be listed.
    """
    found = set(left_by(survey.writers(directory)).by_target)
    for file in survey.rejected(directory):
        header = inspection.header_of(file)
        if header is not None:
            found.add(header.target)
    return found


def choose(given: str, known: Iterable[str]) -> str:
    """The target that is meant: by itself, as `shown` names it, or by its place.

    Raises:
        UsageError: It is none of those that are known, or several.
    """
    choice = sorted(known)
    exact = [target for target in choice if given in (target, shown(target))]
    found = exact or [target for target in choice if place_of(target) in (given, given.rpartition("@")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"--from: {given!r} has several: {'; '.join(repr(shown(each)) for each in found)}")
    what = "; ".join(repr(shown(each)) for each in choice) or "there are none at all"
    raise UsageError(f"--from: no rows are for {given!r}; accepted: {what}")

"""The status that a writer leaves in its folder of the spool, for whoever looks at the host from outside."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dblog.sinks.segments import Figures
from dblog.writing.safespool import SafeSpool
from dblog.writing.tally import Tally


class Status:
    """Makes `status.json`: one JSON object.

    Args:
        identity: What does not change: `writer_id`, `process_id`, `hostname`, `service`, `place`, `target`,
            `durability`.
    """

    def __init__(self, identity: Mapping[str, object]) -> None:
        self._identity = {**identity, "program": Path(sys.argv[0]).name if sys.argv else "", "started": _now()}

    def render(
        self,
        tally: Tally,
        *,
        emitted: Mapping[int, int],
        queue_bytes: int,
        spool: SafeSpool | None,
        state: str,
        closed: bool,
    ) -> bytes:
        """The object with the figures of now; `waiting` is what has gone nowhere else yet."""
        in_spool = spool.figures() if spool is not None else Figures()
        with tally.lock:
            went = {name: +getattr(tally, name) for name in ("stored", "spooled", "rejected", "printed", "dropped")}
            failing_since, last_error = tally.failing_since, tally.last_error
        waiting = Counter(emitted)
        waiting.subtract(sum(went.values(), Counter()))
        figures = {"emitted": emitted, **went, "waiting": +waiting}
        return json.dumps(
            {
                **self._identity,
                "updated": _now(),
                "closed": closed,
                "state": state,
                "last_error": last_error,
                "failing_since": None if failing_since is None else _text(failing_since),
                **{name: _by_level(levels) for name, levels in figures.items()},
                "queue_bytes": queue_bytes,
                "spool_bytes": in_spool.bytes,
                "spool_frames": in_spool.frames,
                "spool_error": spool.last_error if spool is not None else None,
            },
            indent=1,
        ).encode()


def _by_level(levels: Mapping[int, int]) -> dict[str, int]:
    return {str(level): count for level, count in sorted(levels.items())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

"""What the operator was told last of a file: that it cannot be written, or that it is written again, and it is true.

A file that comes and goes is told of in pairs: an end is said where its beginning was, so that whatever is left out
leaves a true line as the last one.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from dblog.selflog import Announcer

AT_ONCE: Final = 5
"""Beginnings that are said at once within a minute; the next one is said when the first of them is a minute old."""
_MINUTE: Final = 60.0


class LastWord:
    """Says beginnings and ends of a trouble; whoever calls holds a lock, so that they are said in their order.

    Args:
        announcer: Writes the lines.
        topic: What they are about.
        clock: Monotonic seconds.
    """

    def __init__(self, announcer: Announcer, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._announcer = announcer
        self._topic = topic
        self._clock = clock
        self._begun: deque[float] = deque(maxlen=AT_ONCE)
        self._withheld = ""
        self._left_out = 0

    def began(self, text: str, *, may_wait: bool) -> None:
        """Say that a trouble began; where it may wait and there were too many, `catch_up` says it later."""
        self._withheld = text
        if not may_wait or self.due_in() <= 0:
            self.catch_up()

    def due_in(self) -> float:
        """Seconds until `catch_up` should be called; infinity where everything was said."""
        if not self._withheld:
            return math.inf
        return self._begun[0] + _MINUTE - self._clock() if len(self._begun) == AT_ONCE else 0.0

    def catch_up(self) -> None:
        """Say the beginning that was withheld."""
        if not self._withheld:
            return
        left_out = f" ({self._left_out} more times in between)" if self._left_out else ""
        text, self._withheld, self._left_out = self._withheld + left_out, "", 0
        self._begun.append(self._clock())
        self._say(text)

    def ended(self, text: str) -> None:
        """Say that the trouble is over, unless nobody heard of its beginning."""
        if self._withheld:
            self._withheld = ""
            self._left_out += 1
        else:
            self._say(text)

    def _say(self, text: str) -> None:
        self._announcer.forget(self._topic)
        self._announcer.announce(self._topic, text)

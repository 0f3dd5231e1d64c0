"""Work that is interrupted at a chosen moment, as by a signal handler that raises."""

import sys
from collections.abc import Callable
from itertools import count
from types import FrameType


class Interruption(BaseException):
    """What a signal handler raises, as that of Ctrl-C does."""


def interrupted(work: Callable[[], object], moment: int) -> bool:
    """Do something, and raise when that many calls to functions in C are over; False where there are fewer."""
    over = count()

    def raise_then(frame: FrameType, event: str, _: object) -> None:
        if event == "c_return" and frame.f_code is not interrupted.__code__ and next(over) == moment:
            raise Interruption

    sys.setprofile(raise_then)
    try:
        work()
    except Interruption:
        return True
    finally:
        sys.setprofile(None)
    return False

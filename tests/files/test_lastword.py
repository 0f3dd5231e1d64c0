"""What is said of a file that comes and goes: pairs, and the last line is true."""

import math

import pytest

from dblog.files.fulldisk.lastword import AT_ONCE, LastWord
from dblog.selflog import Announcer


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now


def test_what_is_withheld_is_said_after_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    """After five beginnings within a minute the next one waits until the first is a minute old, and is said then."""
    clock = Clock()
    word = LastWord(Announcer(), "x", clock)
    for number in range(AT_ONCE + 2):
        word.began(f"down {number}", may_wait=True)
        word.ended(f"up {number}")
        clock.now += 1
    assert [line.split()[1] for line in capfd.readouterr().err.splitlines()] == ["down", "up"] * AT_ONCE
    word.began("down at last", may_wait=True)
    assert word.due_in() == 60 - AT_ONCE - 2
    clock.now += 53
    assert word.due_in() == 0
    word.catch_up()
    assert capfd.readouterr().err == "dblog: down at last (2 more times in between)\n"
    assert word.due_in() == math.inf
    word.ended("up at last")
    assert capfd.readouterr().err == "dblog: up at last\n"


def test_what_nobody_can_say_later_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Where there is no thread that could say it later, a beginning does not wait."""
    word = LastWord(Announcer(), "x")
    for _ in range(AT_ONCE):
        word.began("down", may_wait=True)
        word.ended("up")
    capfd.readouterr()
    word.began("down", may_wait=False)
    assert capfd.readouterr().err == "dblog: down\n"

"""What is on stderr while others write there."""

import os

import pytest


def said_so_far(_captured: pytest.CaptureFixture[str]) -> str:
    """All that was written to descriptor 2 since `capfd` captures it, which must not be read otherwise in between.

    Unlike `capfd.readouterr()`, which empties the file behind it, this loses nothing that a thread writes meanwhile.
    """
    return os.pread(2, os.fstat(2).st_size, 0).decode(errors="backslashreplace")

"""Threads that log numbered lines through one handler, and the account of where these lines are afterwards."""

import gzip
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

Line = tuple[int, int]
"""The number of a thread, and that of its line."""

_WHOLE = re.compile(rb"(\d{3}) (\d{6}) x*\.")


class Storm:
    """Logs from several threads at once, as fast as they can.

    Args:
        handler: Takes the lines; its formatter has to leave messages as they are.
        threads: How many log at the same time.
        width: Bytes of a line, its end included.
    """

    def __init__(self, handler: logging.Handler, threads: int, width: int = 60) -> None:
        self.emitted: set[Line] = set()
        self.blown = 0
        """Lines of each thread so far."""
        self._logger = logging.Logger("storm", logging.DEBUG)
        self._logger.addHandler(handler)
        self._threads = threads
        self._filling = "x" * (width - len("000 000000 .\n"))

    def blow(self, lines: int) -> None:
        """Log that many lines from each thread; fail where a call raises."""
        numbers = range(self.blown, self.blown + lines)
        self.blown += lines
        start, failures = threading.Barrier(self._threads), list[BaseException]()

        def work(thread: int) -> None:
            start.wait()
            try:
                for number in numbers:
                    self._logger.info("%03d %06d %s.", thread, number, self._filling)
            except BaseException as error:  # noqa: BLE001 - the test is told, whatever it is
                failures.append(error)

        workers = [threading.Thread(target=work, args=(thread,)) for thread in range(self._threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not failures, failures
        self.emitted.update((thread, number) for thread in range(self._threads) for number in numbers)


def lines_in(paths: Iterable[Path]) -> set[Line]:
    """The lines in these files, compressed ones too, each of which has to be whole and there once."""
    found: Counter[Line] = Counter()
    for path in paths:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert content.endswith(b"\n") or not content, f"{path} ends within a line: {content[-80:]!r}"
        for line in content.splitlines():
            whole = _WHOLE.fullmatch(line)
            assert whole, f"a torn line in {path}: {line!r}"
            found[int(whole[1]), int(whole[2])] += 1
    doubled = [line for line, times in found.items() if times > 1]
    assert not doubled, f"{len(doubled)} lines are there more than once: {sorted(doubled)[:5]}"
    return set(found)


def of(live: Path) -> list[Path]:
    """The file and its rotated ones, in no order."""
    return [path for path in live.parent.glob(f"{live.stem}*") if path.is_file()]

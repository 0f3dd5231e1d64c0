"""One run of the benchmarks: how much is measured, the server it is measured on, and the processes that do it."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

import psycopg

from benchmarks import corpus
from benchmarks.apart import Apart
from benchmarks.measure import Contender, Figures
from benchmarks.rivals import Rival
from dblog.embedded import EmbeddedServer

P = ParamSpec("P")


@dataclass
class Run:
    """How much is measured, and on what; a context manager, at whose end nothing is left.

    Args:
        quick: All in a minute or two: what takes longer leaves something out.
        rounds: How often contenders take turns.
        calls: Logging calls whose mean processor time is taken.
        records: Records that go into the table.
        seconds: For how long each contender makes the calls that are timed one by one, and after how long one that
            commits in the call has stored enough.
        rows: Millions of rows in tables that have grown.
        tiny: As little as shows that it works, in this process and on a server that does not wait for the disk.
    """

    quick: bool = False
    rounds: int = 5
    calls: int = 10_000
    records: int = 500_000
    seconds: float = 1.5
    rows: tuple[float, ...] = (1,)
    tiny: bool = False
    _open: ExitStack = field(default_factory=ExitStack, init=False)
    _apart: dict[str, Apart] = field(default_factory=dict, init=False)

    @cached_property
    def server(self) -> EmbeddedServer:
        """A throw-away server with its ordinary settings, started at the first use."""
        return self._open.enter_context(EmbeddedServer(durable=not self.tiny))

    @cached_property
    def dsn(self) -> str:
        """A database with the standard tables, a partition a day, which everybody may empty."""
        from dblog.store.migrate import prepare  # the processes that measure do without SQLAlchemy

        dsn = self.server.dsn()
        with psycopg.connect(dsn) as connection:
            prepare(
                connection,
                schema=None,
                table_prefix="dblog",
                partition_by="day",
                indexes="standard",
                partitions_ahead=1,
            )
        return dsn

    @property
    def corpus(self) -> list[str]:
        """Real lines; none where `DBLOG_CORPUS` names no folder of them."""
        return corpus.lines()

    def apart(
        self, rival: Rival, function: Callable[Concatenate[str, P], Figures], *args: P.args, **kwargs: P.kwargs
    ) -> Contender:
        """A contender that calls the function with the rival's name and these arguments, in the rival's process."""
        return self.inside(rival, function, rival.name, *args, **kwargs)

    def inside(self, rival: Rival, function: Callable[P, Figures], *args: P.args, **kwargs: P.kwargs) -> Contender:
        """A contender that calls the function with these arguments, in the process that the rival has of its own."""

        def measure() -> Figures:
            if self.tiny:
                return function(*args, **kwargs)
            if rival.name not in self._apart:
                self._apart[rival.name] = self._open.enter_context(closing(Apart(rival.environment)))
            return self._apart[rival.name].call(function, *args, **kwargs)

        return measure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

"""A process that is killed between any two of its changes on the disk: every row still arrives, and arrives once.

The database is simulated by a file to which a commit appends one line; that the real one keeps its ledger is tested
with the sink. All else is real: each step is cut off by SIGKILL in a process of its own, before the first system call
that changes a file, before the second, and so on; then others take over, and at last all set aside is tried again.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from spools import killed_at, leave

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import COLUMN_NAMES
from dblog.sinks import frames
from dblog.sinks.segments import Trouble
from dblog.sinks.spool import Spool

DEAD, KILLED, HEIR, NEXT_HEIR = (f"{number:032x}" for number in (1, 2, 3, 4))
FIRST_DAY, NEXT_DAY, LATE_DAY = "2026-11-21", "2026-11-22", "2026-12-20"


def make_batch(writer: str, seq: int, *texts: str) -> Batch:
    """A batch of rows that can be told apart."""
    rows = [f"{writer}\t{seq}\t2026-11-21 10:00:00.000001+00\t20\t{text}\n" for text in texts]
    return Batch(BatchKey(FIRST_DAY, writer, seq), "".join(rows).encode(), {20: len(rows)}, None, None, len(rows))


@dataclass
class Host:
    """A spool directory, and the database that its writers deliver to."""

    directory: Path
    ledger: Path

    def spool(self, writer: str, day: str) -> Spool:
        """The spool of a writer; that of the one to be killed syncs, which makes more places to be killed at."""
        return Spool(
            self.directory,
            writer_id=writer,
            target="here",
            report=self.complain,
            segment_bytes=1,
            fsync="interval" if writer == KILLED else "never",
            today=lambda: day,
        )

    def complain(self, trouble: Trouble) -> None:
        """Nothing may be damaged by a kill."""
        raise AssertionError(str(trouble))

    def entries(self) -> list[list[str]]:
        """The committed batches: birth day, writer, number and rows."""
        return [line.split("|") for line in self.ledger.read_text().splitlines()]

    def stored(self) -> Counter[str]:
        """How often each text is in the table."""
        return Counter(text for entry in self.entries() for text in entry[3].split())

    def deliver(self, spool: Spool, batch: Batch, refusing: str) -> None:
        """Store a batch as the sink and the delivery do; rows with the text `refusing` are refused."""
        key = [batch.key.birth_day, batch.key.writer_id, str(batch.key.seq)]
        rows = batch.payload.splitlines(keepends=True)
        refused = [row for row in rows if refusing.encode() in row]
        if key in [entry[:3] for entry in self.entries()]:
            spool.confirm(batch.key)
            return
        if refused:
            spool.set_aside(batch, [Rejected(row, f"it is {refusing}") for row in refused])
        texts = [row.split(b"\t")[4].decode().strip() for row in rows if row not in refused]
        fd = os.open(self.ledger, os.O_WRONLY | os.O_APPEND)
        os.write(fd, ("|".join([*key, " ".join(texts)]) + "\n").encode())
        os.close(fd)
        if refused:
            spool.confirm(batch.key)
        else:
            spool.discard(batch.key)

    def replay(self, spool: Spool, refusing: str = "bad") -> None:
        """Deliver all that waits."""
        while (batch := spool.oldest()) is not None:
            self.deliver(spool, batch, refusing)
            spool.acknowledge(batch)

    def recover(self, writer: str) -> None:
        """Others adopt what is left, and a human has everything tried again that was set aside."""
        spool = self.spool(writer, NEXT_DAY)
        while spool.adopt().figures.bytes:
            self.replay(spool)
        if (self.directory / "rejected").exists():
            for path in sorted((self.directory / "rejected").iterdir()):
                spool.take_back(path)
            self.replay(spool, refusing="nothing")
        spool.close()


def deliver_all(host: Host) -> None:
    """A writer that adopts, replays and closes."""
    spool = host.spool(KILLED, FIRST_DAY)
    while spool.adopt().figures.bytes:
        host.replay(spool)
    spool.close()


def refuse_and_forget(host: Host) -> None:
    """A batch whose refused rows were set aside in vain: at the second try nothing is refused."""
    spool = host.spool(KILLED, FIRST_DAY)
    spool.adopt()
    while (batch := spool.oldest()) is not None:
        spool.set_aside(batch, [Rejected(row, "at first") for row in batch.payload.splitlines(keepends=True)[:1]])
        spool.set_aside(batch, [])
        host.deliver(spool, batch, "bad")
        spool.acknowledge(batch)
    spool.close()


def expire_all(host: Host) -> None:
    """A writer that sets all aside which it adopts."""
    spool = host.spool(KILLED, FIRST_DAY)
    spool.adopt()
    while (batch := spool.oldest()) is not None:
        spool.expire(batch, "it waited too long")
    spool.close()


def take_all_back(host: Host, day: str) -> None:
    """A writer that has all delivered which was set aside."""
    spool = host.spool(KILLED, day)
    for path in sorted((host.directory / "rejected").iterdir()):
        spool.take_back(path)
    host.replay(spool, refusing="nothing")
    spool.close()


def make_host(place: Path) -> Host:
    """A host on which a writer left three batches, an open journal, and refused rows of two batches."""
    place.mkdir()
    host = Host(place / "spool", place / "ledger")
    host.ledger.touch()
    final = make_batch(DEAD, 9, "bad-8", "bad-9")
    waiting = [make_batch(DEAD, 1, "good-1", "bad-1"), make_batch(DEAD, 2, "good-2"), make_batch(DEAD, 3, "bad-3")]
    dead = host.spool(DEAD, FIRST_DAY)
    dead.append(waiting[0])
    dead.set_aside(final, [Rejected(row, "it is bad") for row in final.payload.splitlines(keepends=True)])
    dead.set_aside(waiting[0], [Rejected(waiting[0].payload.splitlines(keepends=True)[1], "it is bad")])
    dead.write_status(b'{"closed":false}')
    leave(dead, *waiting[1:])
    header = frames.make_header("here", COLUMN_NAMES)
    rows = make_batch(DEAD, 4, "good-4", "bad-4").payload
    (host.directory / DEAD / "00000001.journal").write_bytes(header.line + rows + b"cut sho")
    return host


TEXTS = ["good-1", "good-2", "good-4", "bad-1", "bad-3", "bad-4", "bad-8", "bad-9"]


@pytest.mark.parametrize(
    ("prepare", "action"),
    [
        (None, deliver_all),
        (None, refuse_and_forget),
        (None, expire_all),
        (expire_all, lambda host: take_all_back(host, FIRST_DAY)),
        (expire_all, lambda host: take_all_back(host, LATE_DAY)),
    ],
    ids=["delivering", "refused once only", "expiring", "taking back", "taking back what is old"],
)
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.torture)])
def test_a_kill_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, prepare: Callable[[Host], None] | None, action: Callable[[Host], None], step: int
) -> None:
    """Whichever change of a file a process is killed before, in the end each row is in the table once."""
    for call in count(0, step):
        host = make_host(tmp_path / str(call))
        if prepare is not None:
            prepare(host)
        killed = killed_at(call, partial(action, host))
        host.recover(HEIR)
        assert host.stored() == Counter(TEXTS), f"killed before change {call}"
        left = sorted(path.name for path in host.directory.rglob("*") if path.name != "rejected")
        assert left in ([], [f".{KILLED}"], [f".{KILLED}", "lock"])  # it may have died while it made its directory
        if not killed:
            break
    assert call > 30


@pytest.mark.torture
@pytest.mark.parametrize("prepare", [None, expire_all], ids=["delivering", "taking back"])
def test_a_second_kill_loses_and_doubles_nothing(tmp_path: Path, prepare: Callable[[Host], None] | None) -> None:
    """The one that takes over from a killed process may be killed as well, at any point of its own."""
    number = count()
    killed = True
    for first in count(0, 5):
        for second in count(0, 3):
            host = make_host(tmp_path / str(next(number)))
            if prepare is not None:
                prepare(host)
            action = partial(deliver_all, host) if prepare is None else partial(take_all_back, host, LATE_DAY)
            killed = killed_at(first, action)
            again = killed_at(second, partial(host.recover, HEIR))
            host.recover(NEXT_HEIR)
            assert host.stored() == Counter(TEXTS), f"killed before changes {first} and {second}"
            shutil.rmtree(host.directory.parent)
            if not again:
                break
        if not killed:
            break

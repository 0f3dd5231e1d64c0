"""A small shop that logs the way applications do: components, threads, levels, extras, exceptions, Unicode."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Protocol

import dblog

_PAUSE: Final = 0.02
"""Seconds between two bursts of a thread that keeps to a rate."""
_BURST: Final = 100
"""Incidents between two looks at the clock where there is no rate to keep to."""

_CUSTOMERS: Final = ("Zoë Müller", "Ольга Иванова", "李小龍", "محمد علي", "Ἀριάδνη", 'O\'Brien \\ "Søn" 🦊')


class Log(Protocol):
    """How an incident logs: like `logging.Logger.log`."""

    def __call__(self, level: int, message: str, *args: object, **options: Any) -> None:
        """Log a record and count it."""


class CardDeclinedError(Exception):
    """The bank said no."""


class Shop:
    """Five threads of four components, each with its share of the rate.

    Args:
        seconds: How long the shop is open.
        rate: Records a second, of all threads together; 0 for as many as possible.
    """

    def __init__(self, *, seconds: float, rate: float) -> None:
        self._closing = threading.Event()
        self._clerks = [
            _Clerk(component, number, incident, seconds, rate / len(_THREADS), self._closing)
            for number, (component, incident) in enumerate(_THREADS, 1)
        ]

    @property
    def emitted(self) -> Counter[tuple[str, int]]:
        """The records that were logged so far, by logger and level number."""
        return sum((Counter(dict(clerk.counts)) for clerk in self._clerks), Counter[tuple[str, int]]())

    @property
    def is_open(self) -> bool:
        """True while a thread works."""
        return any(clerk.is_alive() for clerk in self._clerks)

    def open(self) -> None:
        """Let the threads begin."""
        for clerk in self._clerks:
            clerk.start()

    def close(self) -> None:
        """Let the threads end, those that have begun, and wait for it."""
        self._closing.set()
        for clerk in self._clerks:
            if clerk.ident is not None:
                clerk.join()


class _Clerk(threading.Thread):
    """One thread of a component."""

    def __init__(
        self,
        component: str,
        number: int,
        incident: Callable[[Log, int], None],
        seconds: float,
        rate: float,
        closing: threading.Event,
    ) -> None:
        super().__init__(name=f"{component}-{number}")
        self.counts: Counter[tuple[str, int]] = Counter()
        self._logger = dblog.get_logger(component)
        self._incident = incident
        self._seconds = seconds
        self._rate = rate
        self._closing = closing

    def run(self) -> None:
        """Let things happen at the rate until it is time to close."""
        begun = time.monotonic()
        happened = 0
        while not self._closing.is_set() and (passed := time.monotonic() - begun) < self._seconds:
            due = int(passed * self._rate) + 1 if self._rate else happened + _BURST
            for number in range(happened + 1, due + 1):
                self._incident(self._log, number)
            happened = max(happened, due)
            if self._rate:
                self._closing.wait(_PAUSE)

    def _log(self, level: int, message: str, *args: object, **options: Any) -> None:
        self._logger.log(level, message, *args, stacklevel=2, **options)
        self.counts[self._logger.name, level] += 1


def _serve(log: Log, number: int) -> None:
    path = f"/products/{number % 997}"
    request = {"method": "GET", "path": path, "user_id": number % 5003, "trace_id": f"{number * 7919:032x}"}
    if number % 250 == 0:
        try:
            _render(path)
        except RuntimeError:
            log(logging.ERROR, "GET %s failed", path, exc_info=True, extra={**request, "status": 500})
    elif number % 40 == 0:
        log(logging.WARNING, "GET %s: no such product", path, extra={**request, "status": 404})
    else:
        log(logging.INFO, "GET %s in %.1f ms", path, number % 37 + 0.5, extra={**request, "status": 200})


def _render(path: str) -> None:
    try:
        {"/": "index.html"}[path]
    except KeyError as error:
        raise RuntimeError(f"no template for {path}") from error


def _select(log: Log, number: int) -> None:
    duration = 1200 + number % 800 if number % 150 == 0 else number % 9 + 0.25
    extra = {"table": "products", "rows": number % 20, "duration_ms": duration}
    if duration > 1000:
        log(logging.WARNING, "slow query: %.0f ms\nSELECT *\nFROM products", duration, extra=extra, stack_info=True)
    else:
        log(logging.DEBUG, "SELECT name, price FROM products WHERE id = %s", number % 997, extra=extra)


def _pay(log: Log, number: int) -> None:
    amount = Decimal(number % 20_000) / 100 + 1
    extra = {"order": number, "amount": amount, "currency": "€", "card_token": f"tok_{number:08}"}
    if number % 2000 == 0:
        log(logging.CRITICAL, "the bank has not answered for %d payments", number % 7 + 1, extra={"bank": "Größe AG"})
    elif number % 60 == 0:
        try:
            raise CardDeclinedError(f"limit of {amount:.2f} €")
        except CardDeclinedError:
            log(logging.ERROR, "payment for order %d declined", number, exc_info=True, extra=extra)
    else:
        log(logging.INFO, "payment of %.2f € for order %d accepted", amount, number, extra=extra)


def _mail(log: Log, number: int) -> None:
    customer = _CUSTOMERS[number // 3 % len(_CUSTOMERS)]
    if number % 3 == 0:
        log(logging.INFO, "mailed the invoice to %s 📦", customer, extra={"customer": {"name": customer, "id": number}})
    else:
        log(logging.DEBUG, "%d jobs are waiting", number % 11, extra={"tags": ["mail", "queue"], "retry": None})


_THREADS: Final = (
    ("shop.web", _serve),
    ("shop.web", _serve),
    ("shop.db", _select),
    ("shop.payments", _pay),
    ("shop.worker", _mail),
)

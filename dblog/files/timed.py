"""`ResilientTimedRotatingFileHandler`: the standard library's arguments for rotation by time, and its attributes."""
# ruff: noqa: N802, N803 - the standard library's names

import datetime
import os
import re
from typing import Any, Final

from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.rotated.names import DATES, DAY
from dblog.files.rotated.schedule import Schedule

_SECONDS: Final = {"S": 1, "M": 60, "H": 3600, "HOURLY": 3600, "W": 7 * 86_400}
_A_DAY: Final = 86_400


class ResilientTimedRotatingFileHandler(ResilientRotatingFileHandler):
    """A drop-in for `logging.handlers.TimedRotatingFileHandler` that survives a full disk.

    Rotated files are named by the period that they cover (`app.log.2026-11-21`). A second file of the same period gets
    a number (`app.log.2026-11-21.1`) where the standard library would overwrite the first.

    Args:
        filename: The log file.
        when: The unit: `S`, `M`, `H`, `D`, `midnight`, `W0` (Monday) to `W6`, `hourly` (on the hour) or `daily`.
        interval: How many units apart.
        backupCount: Rotated files that are kept; 0 keeps all.
        encoding: The codec; None for that of the locale.
        delay: Open the file with the first record.
        utc: Days and names are in UTC instead of local time.
        atTime: The time of the day for rotation by days and weeks; None for midnight.
        errors: What becomes of characters that the codec does not have; None writes them as escapes.
        rest: Any other argument of `ResilientRotatingFileHandler`.

    Raises:
        ConfigurationError: An argument cannot be used; it is named.
        OSError: The file cannot be opened, and a full disk is not the reason.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        when: str = "h",
        interval: int = 1,
        backupCount: int = 0,
        encoding: str | None = None,
        delay: bool = False,
        utc: bool = False,
        atTime: datetime.time | None = None,
        errors: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(
            filename,
            when=when,
            interval=interval,
            backupCount=backupCount,
            encoding=encoding,
            delay=delay,
            utc=utc,
            atTime=atTime,
            errors=errors,
            **{"naming": "date", **rest},
        )
        self.when = self.settings.when
        self.interval = self.settings.interval * _SECONDS.get(
            self.when[0] if self.when[0] == "W" else self.when, _A_DAY
        )
        self.utc = utc
        self.atTime = atTime
        self.suffix = DATES.get(self.when, DAY)
        digits = re.sub("%.", lambda code: r"\d{4}" if code[0] == "%Y" else r"\d{2}", self.suffix)
        self.extMatch = re.compile(rf"^{digits}(\.\w+)?$", re.ASCII)
        if self.when.startswith("W"):
            self.dayOfWeek = int(self.when[1])
        self._schedule = Schedule(self.when, self.settings.interval, utc=utc, at_time=atTime)

    @property
    def rolloverAt(self) -> float:
        """When the next rotation is due, in seconds since 1970."""
        return self._writer.due_at

    @rolloverAt.setter
    def rolloverAt(self, moment: float) -> None:
        self._writer.due_at = moment

    def computeRollover(self, currentTime: float) -> float:
        """The time at which a file is due that is begun at `currentTime`, both in seconds since 1970."""
        return self._schedule.next_after(currentTime)

    def getFilesToDelete(self) -> list[str]:
        """The rotated files, oldest first, that the next rotation will delete: always none beyond those it makes."""
        return self._writer.surplus()

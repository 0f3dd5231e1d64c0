"""Measuring side by side: contenders take turns, and what is told of each is its median and spread over the rounds."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float]


@dataclass(frozen=True)
class Result:
    """The figures of one contender, a list entry for each round."""

    name: str
    rounds: list[Figures]

    def median(self, figure: str) -> float:
        """The median over the rounds."""
        return statistics.median(each[figure] for each in self.rounds)

    def spread(self, figure: str) -> tuple[float, float]:
        """The smallest and the largest value over the rounds."""
        values = [each[figure] for each in self.rounds]
        return min(values), max(values)


def take_turns(contenders: Mapping[str, Callable[[], Figures]], *, rounds: int) -> list[Result]:
    """Run every contender once a round, in an order that changes, so that a drift of the machine hits all alike."""
    results = {name: Result(name, []) for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            print(f"  round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            results[name].rounds.append(contenders[name]())
    return list(results.values())


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": models[0].split(":", 1)[1].strip() if models else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def percentile(ordered: list[int], share: float) -> float:
    """The value below which `share` (0 to 1) of the ordered values lie."""
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])

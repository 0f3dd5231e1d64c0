"""Run all benchmarks and print their tables as Markdown: `python -m benchmarks [--quick] [--json FILE]`."""

import argparse
import json
from pathlib import Path

import psycopg

from benchmarks import calls, end_to_end, journal, outage
from benchmarks.measure import Result, machine, take_turns
from dblog.embedded import EmbeddedServer
from dblog.store.migrate import prepare


def main() -> None:
    """Measure on a throw-away server with its ordinary, durable settings."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and rounds: about a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds to FILE")
    options = parser.parse_args()
    rounds, records, timed = (3, 50_000, 20_000) if options.quick else (5, 300_000, 100_000)
    with EmbeddedServer() as server:
        dsn = server.dsn()
        with psycopg.connect(dsn) as connection:
            prepare(
                connection,
                schema=None,
                table_prefix="dblog",
                partition_by="day",
                indexes="standard",
                partitions_ahead=1,
            )
        tables = {
            "Cost of a call, 1 thread": take_turns(calls.contenders(dsn, 1, timed), rounds=rounds),
            "Cost of a call, 100 threads": take_turns(calls.contenders(dsn, 100, timed), rounds=rounds),
            "Cost of a call with durability journal, 1 thread": take_turns(
                journal.contenders(dsn, 1, timed), rounds=rounds
            ),
            "Cost of a call with durability journal, 16 threads": take_turns(
                journal.contenders(dsn, 16, timed), rounds=rounds
            ),
            "Cost of a call during an outage, 1 thread": take_turns(
                outage.call_contenders(dsn, 1, timed), rounds=rounds
            ),
            "End to end, 1 thread": take_turns(end_to_end.contenders(dsn, records), rounds=rounds),
            "Replay after an outage": take_turns(
                outage.replay_contenders(server, max(300_000, records)), rounds=rounds
            ),
        }
        described = {**machine(), "postgresql": server.version, "records": f"{records:,}", "rounds": str(rounds)}
    print(", ".join(f"{key}: {value}" for key, value in described.items()))
    for title, results in tables.items():
        print(f"\n### {title}\n\n{_table(results)}")
    if options.json:
        figures = {title: {each.name: each.rounds for each in results} for title, results in tables.items()}
        options.json.write_text(json.dumps({"machine": described, "figures": figures}, indent=2) + "\n")


def _table(results: list[Result]) -> str:
    figures = list(results[0].rounds[0])
    reference = next(each for each in results if each.name == "dblog")
    lines = [
        "| | " + " | ".join(figures) + f" | dblog's {figures[0]} to this one's |",
        "| --- " * (len(figures) + 2) + "|",
    ]
    for each in results:
        cells = []
        for figure in figures:
            low, high = each.spread(figure)
            cells.append(f"{each.median(figure):,.1f} ({low:,.1f} to {high:,.1f})")
        ratio = reference.median(figures[0]) / each.median(figures[0])
        lines.append(f"| {each.name} | {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Run all benchmarks and print their tables as Markdown: `python -m benchmarks [--quick] [--files] [--json FILE]`."""

import argparse
import json
from pathlib import Path

import psycopg

from benchmarks import calls, end_to_end, files, journal, outage
from benchmarks.measure import Result, machine, take_turns
from dblog.embedded import EmbeddedServer
from dblog.store.migrate import prepare


def main() -> None:
    """Measure on a throw-away server with its ordinary, durable settings, and in temporary files."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and rounds: about two minutes")
    parser.add_argument("--files", action="store_true", help="measure log files alone, which needs no server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds to FILE")
    options = parser.parse_args()
    rounds, records, timed = (3, 50_000, 20_000) if options.quick else (5, 300_000, 100_000)
    described = {**machine(), "records": f"{records:,}, in log files {timed:,}", "rounds": str(rounds)}
    tables = _file_tables(rounds, timed)
    if not options.files:
        with EmbeddedServer() as server:
            described["postgresql"] = server.version
            tables = {**_database_tables(server, rounds, records, timed), **tables}
    print(", ".join(f"{key}: {value}" for key, value in described.items()))
    for title, results in tables.items():
        print(f"\n### {title}\n\n{_table(results)}")
    if options.json:
        figures = {title: {each.name: each.rounds for each in results} for title, results in tables.items()}
        options.json.write_text(json.dumps({"machine": described, "figures": figures}, indent=2) + "\n")


def _database_tables(server: EmbeddedServer, rounds: int, records: int, timed: int) -> dict[str, list[Result]]:
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
    return {
        "Cost of a call, 1 thread": take_turns(calls.contenders(dsn, 1, timed), rounds=rounds),
        "Cost of a call, 100 threads": take_turns(calls.contenders(dsn, 100, timed), rounds=rounds),
        "Cost of a call with durability journal, 1 thread": take_turns(
            journal.contenders(dsn, 1, timed), rounds=rounds
        ),
        "Cost of a call with durability journal, 16 threads": take_turns(
            journal.contenders(dsn, 16, timed), rounds=rounds
        ),
        "Cost of a call during an outage, 1 thread": take_turns(outage.call_contenders(dsn, 1, timed), rounds=rounds),
        "End to end, 1 thread": take_turns(end_to_end.contenders(dsn, records), rounds=rounds),
        "Replay after an outage": take_turns(outage.replay_contenders(server, max(300_000, records)), rounds=rounds),
    }


def _file_tables(rounds: int, records: int) -> dict[str, list[Result]]:
    contenders = {
        f"Log file, {what}, {threads} thread{'s'[: threads > 1]}, {name}": made
        for name, form in files.FORMATS.items()
        for threads in (1, 100)
        for what, made in (
            ("rate", files.rate_contenders(form, threads, records)),
            ("cost of a call", files.call_contenders(form, threads, records)),
        )
    }
    for threads in (1, 100):
        contenders[f"Log file, messages of 1,000 bytes, {threads} thread{'s'[: threads > 1]}"] = files.rate_contenders(
            files.FORMATS["message alone"], threads, records, 1000
        )
    contenders["Log file, a writer's memory and idle processor time"] = files.cost_contenders()
    return {title: take_turns(made, rounds=rounds) for title, made in contenders.items()}


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

"""Trials a second through the loop, by where the store is: SQLite in a file, and PostgreSQL on a server.

A search of a table with as many rows as NAS-Bench-201 runs through the real loop, so that nothing costs time but the
loop and the store. The stores take turns: a thousand trials of a search in one, then in the other, then the next
thousand. A row is kept for every hundred trials, with the memory of the process. Then several processes search at once,
each a search of its own in the one store.

    store   in all calls of the store
    rest    of the time between two trials: strategy, specs, bookkeeping

Usage: python benchmarks/stores.py OUTPUT [--postgres URL] [--trials 8000] [--rounds 2] [--processes 1 2 4 8]

The server is one with its usual settings, whose commits wait for the disk; URL is an empty database of it. The SQLite
file lies in OUTPUT while it is measured, so that both may be on one disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas import Store
from paretonas.evaluation.table import TableEvaluator, TableSource
from paretonas.loop.gates import Limits
from paretonas.loop.listener import Listener, Progress
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Budget, Plan
from paretonas.objective import Goals, Objective
from paretonas.store.database import Database
from paretonas.strategy import strategies

WINDOW, TURN = 100, 1000
CALLS = ("add_trials", "update_trial", "set_seconds")
DECISIONS, CHOICES = 6, 5
EACH = 1000
"""Trials of each of several processes."""


@dataclass(frozen=True)
class Row:
    """Of a hundred trials."""

    store: str
    round: int
    first: int
    last: int
    trials_a_second: float
    store_ms: float
    rest_ms: float
    resident_mb: float


def make_table(path: Path) -> None:
    """A table of made-up numbers, of the size of NAS-Bench-201."""
    random, rows = Random(0), [list(row) for row in product(range(CHOICES), repeat=DECISIONS)]
    quality = [0.5 + 0.4 * sum(row) / (DECISIONS * (CHOICES - 1)) + 0.05 * random.random() for row in rows]
    pq.write_table(pa.table({"ops": rows, "acc": quality, "ms": [1.0 + sum(row) for row in rows]}), path)


def plan(table: Path, name: str, trials: int) -> Plan:
    """Of a random search."""
    evaluator = TableEvaluator(TableSource(str(table), "acc", ("ms",)))
    objective = Objective(targets={"latency_ms": 12.0})
    return Plan(
        name=name,
        space=evaluator.table.space(),
        strategy=strategies.create("random"),
        seed=0,
        goals=Goals(("reward",)),
        objective=objective,
        evaluator=evaluator,
        gates=(Limits(objective),),
        budget=Budget(trials=trials),
    )


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(store: Store, seconds: dict[str, float]) -> None:
    """Count the time of the calls that a search of a table makes."""
    for name in CALLS:
        original: Callable[..., Any] = getattr(store, name)

        def timed(*args: Any, _call: Callable[..., Any] = original) -> Any:
            begin = time.perf_counter()
            try:
                return _call(*args)
            finally:
                seconds["store"] += time.perf_counter() - begin

        setattr(store, name, timed)


def measure(location: str, label: str, number: int, table: Path, trials: int) -> list[Row]:
    """Go on with a search until it has so many trials; a row for each window. Reading what is there is not counted."""
    rows, seconds = list[Row](), defaultdict[str, float](float)
    with closing(Store(location)) as store:
        name = f"r{number}"
        if name not in {search.name for search in store.searches()}:
            store.create_search(name, {})
        watch(store, seconds)
        begin, first = 0.0, 0

        def progress(now: Progress) -> None:
            nonlocal begin, first
            if first and now.ended % WINDOW == 0:
                count, passed = now.ended - first + 1, time.perf_counter() - begin
                spent = 1e3 * seconds["store"] / count
                rest = 1e3 * passed / count - spent
                rows.append(Row(label, number, first, now.ended, count / passed, spent, rest, resident_mb()))
            if not first or now.ended % WINDOW == 0:
                seconds.clear()
                begin, first = time.perf_counter(), now.ended + 1

        with store.hold(name):
            Loop(plan(table, name, trials), store, {}, Listener(progress=progress)).run()
    return rows


def run_one(location: str, table: Path, name: str) -> None:
    """In a process of its own: wait for the word, then search."""
    with closing(Store(location)) as store:
        planned = plan(table, name, EACH)
        store.create_search(name, {})
        with store.hold(name):
            loop = Loop(planned, store, {}, Listener())
            print("ready", flush=True)
            sys.stdin.readline()
            begin = time.time()
            loop.run()
            print(begin, time.time(), flush=True)


def measure_together(location: str, table: Path, count: int) -> float:
    """Trials a second of so many processes, each with a search of its own in one store."""
    script = str(Path(__file__).resolve())
    commands = [[sys.executable, script, "--one", location, str(table), f"p{count}-{i}"] for i in range(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for command in commands]  # type: ignore[call-overload]
    for process in processes:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"A process says that it is ready, but one ended with {process.wait()}.")
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    spans = [tuple(map(float, process.communicate()[0].split())) for process in processes]
    return count * EACH / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def commit_ms(location: str, times: int = 200) -> float:
    """Of the least that can be written: what the disk, and the way to it, cost alone."""
    database = Database(location)
    words = "UPDATE searches SET seconds = seconds + 1"
    database.write(lambda connection: connection.exec_driver_sql(words))
    begin = time.perf_counter()
    for _ in range(times):
        database.write(lambda connection: connection.exec_driver_sql(words), is_synced=True)
    passed = time.perf_counter() - begin
    database.close()
    return 1e3 * passed / times


def summarize(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """Of each store and thousand trials, the medians of its windows: others used the machine, and not evenly."""
    found = []
    for store in dict.fromkeys(row.store for row in rows):
        own = [row for row in rows if row.store == store]
        for low in range(0, max(row.last for row in own), TURN):
            part = [row for row in own if low < row.last <= low + TURN]
            rate, spent, rest = (
                median(getattr(r, n) for r in part) for n in ("trials_a_second", "store_ms", "rest_ms")
            )
            slow, fast = min(r.trials_a_second for r in part), max(r.trials_a_second for r in part)
            memory = max(row.resident_mb for row in part)
            span = f"{low + 1:,} to {low + TURN:,}"
            cells = f"{rate:.0f}", f"{slow:.0f} to {fast:.0f}", f"{spent:.2f}", f"{rest:.2f}", f"{memory:.0f}"
            found.append((store, span, *cells))
    return found


def main(options: argparse.Namespace) -> None:
    """Measure, print, and write `stores.parquet`, `processes.parquet` and `stores.json`."""
    from conditions import conditions, print_conditions, print_table, write_rows  # with torch: not in every process

    about, output = conditions(), options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stores-", dir=output) as folder:
        table, file = Path(folder, "made.parquet"), str(Path(folder, "store.db"))
        make_table(table)
        stores = {"SQLite": file} | ({"PostgreSQL": options.postgres} if options.postgres else {})
        rows, together = list[Row](), list[dict[str, Any]]()
        for number, upto in product(range(options.rounds), range(TURN, options.trials + 1, TURN)):
            for label, location in stores.items():
                rows += measure(location, label, number, table, upto)
                write_rows([asdict(row) for row in rows], output / "stores.parquet")
        for count in options.processes:
            for label, location in stores.items():
                rate = measure_together(location, table, count)
                together.append({"store": label, "processes": count, "trials_a_second": rate})
                write_rows(together, output / "processes.parquet")
        about["commit_ms"] = {label: round(commit_ms(location), 3) for label, location in stores.items()}
    about["command"] = "python benchmarks/stores.py OUTPUT --postgres URL"
    print_conditions(about)
    (output / "stores.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print_table(("store", "trials", "trials/s", "range", "store, ms", "rest, ms", "memory, MB"), summarize(rows))
    print_table(
        ("store", "processes", "trials/s"),
        [(*list(row.values())[:2], f"{row['trials_a_second']:.0f}") for row in together],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--postgres", help="URL of an empty database")
    parser.add_argument("--trials", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4, 8])
    main(parser.parse_args())

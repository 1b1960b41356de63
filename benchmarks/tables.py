"""What the benchmarks on tables of trained networks share: the tables, what is sought in them, and kept runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
from conditions import write_rows

from paretonas.compare import Contest, Run

NB201, MACRO = "nasbench201_cifar10.parquet", "nas_bench_macro.parquet"
FINAL, PROXY, MACRO_ACCURACY = "cifar10_test_acc_200ep", "cifar10_valid_acc_12ep", "mean_acc"
PIXEL3, RASPI4 = "lat_pixel3_ms", "lat_raspi4_ms"


def contests(tables: Path, trials: int) -> dict[str, Contest]:
    """The tables and what is sought in them."""
    nb201, macro = tables / NB201, tables / MACRO
    return {
        "nb201": Contest(nb201, FINAL, trials=trials),
        "nb201-proxy": Contest(nb201, PROXY, FINAL, trials=trials),
        "macro": Contest(macro, MACRO_ACCURACY, trials=trials),
        "nb201-pixel3": Contest(nb201, FINAL, latency=PIXEL3, trials=trials),
        "nb201-raspi4": Contest(nb201, FINAL, latency=RASPI4, trials=trials),
    }


def read_runs(file: Path) -> list[Run]:
    """Runs of an earlier session."""
    if not file.exists():
        return []
    return [
        Run(row["strategy"], row["seed"], tuple(row["rows"]), tuple(row["ask_seconds"]))
        for row in pq.read_table(file).to_pylist()
    ]


def write_runs(runs: Sequence[Run], file: Path) -> None:
    """Keep them for a later one."""
    write_rows([asdict(run) for run in runs], file)


def complete(file: Path, wanted: Iterable[tuple[str, int]], make: Callable[[str, int], Run]) -> list[Run]:
    """The runs that `file` keeps; those of wanted strategies and seeds that are missing are made, each kept at once."""
    runs = read_runs(file)
    made = {(one.strategy, one.seed) for one in runs}
    for name, seed in wanted:
        if (name, seed) not in made:
            runs.append(make(name, seed))
            write_runs(runs, file)
    return runs


def arguments(about: str | None, seeds: int, trials: int) -> argparse.ArgumentParser:
    """Those that all take: a folder of tables, one for what is written, seeds and evaluations of a run."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--trials", type=int, default=trials)
    return parser

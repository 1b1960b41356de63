"""Do metrics of untrained networks foretell accuracy? Measured on networks whose trained accuracies are in tables.

A random sample of the networks of NAS-Bench-201 and NAS-Bench-Macro is built and shown a batch of real CIFAR-10 images.
The metrics' rank correlations with the tables' accuracies are printed: among all, and among the best fifth, where a
search has to tell networks apart. And of all, what is left of it at equal MACs.

Usage: python benchmarks/proxies.py TABLES DATA OUTPUT [--networks 100] [--seed 0]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet, DATA a data set of 32 x 32 images.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from conditions import conditions, print_conditions, print_table, write_rows
from tables import FINAL, MACRO, MACRO_ACCURACY, NB201

from paretonas import build
from paretonas.evaluation.trained import UNTRAINED
from paretonas.network.cost import spec_cost
from paretonas.report.correlation import rank_correlation
from paretonas.space import Interface, spaces
from paretonas.space.table import read_table
from paretonas.task.classification import Classification
from paretonas.training.zerocost import zero_cost

TABLES = {
    "nasbench201": (NB201, FINAL),
    "nasbench-macro": (MACRO, MACRO_ACCURACY),
}
COSTS = ("params", "macs")
INTERFACE = Interface.of_images(channels=3, resolution=32, classes=10)


def sample(name: str, tables: Path, n: int, seed: int) -> Iterator[tuple[Any, float, dict[str, float]]]:
    """Specs, each with the accuracy that the table knows and its costs."""
    file, column = TABLES[name]
    table, space = read_table(tables / file), spaces.create(name).build()
    for choices in Random(seed).sample(sorted(table.rows), n):
        spec = space.decode(space.architecture(choices))
        cost = spec_cost(spec, INTERFACE)
        yield spec, table.column(column)[table.rows[choices]], {"params": cost.params, "macs": cost.macs}


def main(options: argparse.Namespace) -> None:
    """Build, look, write, print."""
    print_conditions(conditions())
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        task = Classification(str(options.data), train_images=1000, val_images=100)
        task.prepare(Path(folder))
        for name in TABLES:
            begin = time.perf_counter()
            for i, (spec, accuracy, costs) in enumerate(sample(name, options.tables, options.networks, options.seed)):
                torch.manual_seed(options.seed)
                found = zero_cost(build(spec, INTERFACE), task, options.seed)
                rows.append({"space": name, "accuracy": accuracy, **found, **costs})
                print(f"\r{name}: {i + 1} of {options.networks}  ", end="", flush=True)
            print(f"\r{name}: {(time.perf_counter() - begin) / options.networks:.2f} s a network")
    options.output.mkdir(parents=True, exist_ok=True)
    write_rows(rows, options.output / "proxies.parquet")
    report(rows)


def report(rows: list[dict[str, Any]]) -> None:
    """Rank correlations, of all, of the best fifth, and of all at equal MACs."""
    cells = []
    for name in TABLES:
        here = sorted((row for row in rows if row["space"] == name), key=lambda row: -row["accuracy"])
        for metric in (*UNTRAINED, *COSTS):
            line = [name, metric]
            for part in (here, here[: max(5, len(here) // 5)]):
                c = rank_correlation([row[metric] for row in part], [row["accuracy"] for row in part])
                line += [f"{c.spearman:+.2f} ({c.low:+.2f} to {c.high:+.2f})", f"{c.kendall:+.2f}", c.verdict]
            left = at_equal([row["macs"] for row in here], *([row[k] for row in here] for k in (metric, "accuracy")))
            cells.append([*line, None if left is None else f"{left:+.2f}"])
    columns = ("Spearman, all", "Kendall", "verdict", "Spearman, best fifth", "Kendall", "verdict", "at equal MACs")
    print_table(("space", "metric", *columns), cells)


def at_equal(cost: Sequence[float], metric: Sequence[float], accuracy: Sequence[float]) -> float | None:
    """Partial rank correlation of metric and accuracy, the cost's ranks held; None where the cost decides one of them.

    Source: Kendall, Partial Rank Correlation, Biometrika 32, 1942; the same formula, here of Spearman's.
    """
    pairs = ((metric, accuracy), (metric, cost), (accuracy, cost))
    both, first, second = (rank_correlation(a, b).spearman for a, b in pairs)
    left = (1 - first**2) * (1 - second**2)
    return (both - first * second) / math.sqrt(left) if left > 1e-9 else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())

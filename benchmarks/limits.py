"""How many trainings do strategies need where a limit stops most of what is drawn?

On NAS-Bench-201 and NAS-Bench-Macro, with a limit on a latency that a small share of the table keeps. What is over the
limit is not trained and costs next to nothing, so that only what keeps it is counted, for random search too: its
trainings are a fair sample of what is within. Told are the regret against the best within the limit, and the share of
the hypervolume of the front within it. Every run's rows are kept; a run that is there already is not made again.

Usage: python benchmarks/limits.py TABLES OUTPUT [--seeds 20] [--trials 60] [--share .06] [--only CONTEST …]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from conditions import conditions, print_conditions, print_table
from tables import FINAL, MACRO, MACRO_ACCURACY, NB201, PIXEL3, RASPI4, arguments, complete

from paretonas.compare import Contest, Run, run, summary

COUNTS = (5, 10, 20, 30, 40, 60)
STRATEGIES = ("random", "nsga2", "surrogate")
LATENCIES = {"nb201-pixel3": PIXEL3, "nb201-raspi4": RASPI4, "macro-flops": "flops"}
"""Contest -> what is limited; MACs as if they were milliseconds where a table has no latency."""


def limited(contest: Contest, share: float) -> Contest:
    """The contest among so large a share of its table, by latency."""
    return replace(contest, limit_ms=float(np.quantile(contest.table.column(contest.latency or ""), share)))


def report(label: str, contest: Contest, runs: Sequence[Run]) -> None:
    """Means over the seeds, with standard errors."""
    found = summary(contest, runs)
    print(f"\n{label}, {found['within']:.0%} within {contest.limit_ms:.3g}: mean regret; share of the front within")
    counts = [n for n in COUNTS if n <= contest.trials]
    rows = []
    for name, one in found["strategies"].items():
        volume = one["hypervolume"]
        regrets = [f"{one['regret'][n - 1]:.3f} ± {one['standard_error'][n - 1]:.3f}" for n in counts]
        shares = [f"{volume['mean'][n - 1]:.3f} ± {volume['standard_error'][n - 1]:.3f}" for n in counts]
        rows.append((name, one["seeds"], one["fewest"], *regrets, *shares))
    print_table(("", "seeds", "fewest", *(f"{n}" for n in counts), *(f"share {n}" for n in counts)), rows)


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing, then print what came out."""
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    for label, latency in LATENCIES.items():
        if label in (options.only or LATENCIES):
            file, metric = (MACRO, MACRO_ACCURACY) if label.startswith("macro") else (NB201, FINAL)
            whole = Contest(options.tables / file, metric, latency=latency, trials=options.trials)
            contest = limited(whole, options.share)
            wanted = [(name, seed) for name in STRATEGIES for seed in range(options.seeds)]
            report(label, contest, complete(options.output / f"{label}.parquet", wanted, partial(run, contest)))


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=20, trials=60)
    parser.add_argument("--share", type=float, default=0.06, help="of the table that keeps the limit")
    parser.add_argument("--only", nargs="*", default=[], choices=[*LATENCIES], help="contests")
    main(parser.parse_args())

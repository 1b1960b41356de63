"""Does the RNN controller learn within some hundred trials? PPO and REINFORCE beside random search on tables.

Published settings beside others. For each, the mean regret of the best so far, by what strategies are told and judged
by the contest's judge, and the median reward of what was proposed, hundred by hundred: a controller that learns nothing
stays where random search is. Where there is a latency, the reward is the soft one and judges itself.

Every run's rows are kept; a run that is there already is not made again.

Usage: python benchmarks/controllers.py TABLES OUTPUT [--seeds 10] [--trials 500] [--only CONTEST …] [--strategies …]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from conditions import conditions, print_conditions, print_table
from numpy.typing import NDArray
from tables import arguments, complete, contests

from paretonas.compare import Contest, Run, run

RANDOM = "random"
RATES = (0.00035, 0.0008, 0.002, 0.005)
"""The published one, that which the AmoebaNet paper found best for the controller, and larger ones."""
SETTINGS = (
    RANDOM,
    *(f"ppo:lr={rate},entropy=1e-5,standardize=false" for rate in RATES),
    "ppo",
    "reinforce:lr=0.0006",
    "reinforce:lr=0.01",
)
"""Of PPO, the learning rate alone, then our defaults."""
CONTESTS = ("nb201", "nb201-proxy", "macro", "nb201-pixel3")
COUNTS = (100, 200)
"""Evaluations, beside all of them."""
PART = 100
"""Proposals whose median reward is given."""
CHEAP = 5
"""Random search runs with so many times the seeds."""

Floats = NDArray[np.float64]


def rewards(contest: Contest) -> Floats:
    """What a strategy is told of each row, NaN for a gap."""
    accuracy = np.array(contest.table.column(contest.metric), dtype=float)
    accuracy /= 100.0 if np.nanmax(accuracy) > 1 else 1.0
    if contest.latency is None:
        return accuracy
    objective, latency = contest.objective(), contest.table.column(contest.latency)
    pairs = zip(accuracy, latency, strict=True)
    return np.array([objective.reward_of({"accuracy": a, "latency_ms": ms}) for a, ms in pairs])


def regrets(contest: Contest, runs: Sequence[Run], told: Floats) -> Floats:
    """How far the row that is best by what was told lies below the best row: (runs, trials), in percentage points."""
    judge = 100 * told if contest.latency else np.array(contest.table.column(contest.judged_by), dtype=float)
    judge = judge * (100.0 if np.nanmax(judge) <= 1 else 1.0)
    seen = np.array([one.rows for one in runs])  # (runs, trials)
    values = np.where(np.isnan(told[seen]), -np.inf, told[seen])
    is_better = values > np.concatenate([np.full((len(runs), 1), -np.inf), np.maximum.accumulate(values, 1)[:, :-1]], 1)
    best = np.maximum.accumulate(np.where(is_better, np.arange(values.shape[1]), 0), 1)  # the latest better one
    found: Floats = np.nanmax(judge) - judge[np.take_along_axis(seen, best, 1)]
    return found


def report(contest: Contest, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A line for each strategy; `below_random` is in standard errors of the difference."""
    told, found = rewards(contest), []
    counts = [*(n for n in COUNTS if n < contest.trials), contest.trials]
    baseline = regrets(contest, [one for one in runs if one.strategy == RANDOM], told)
    for name in dict.fromkeys(one.strategy for one in runs):
        own = [one for one in runs if one.strategy == name]
        regret, proposed = regrets(contest, own, told), told[np.array([one.rows for one in own])]
        error = np.sqrt(regret.var(0, ddof=1) / len(regret) + baseline.var(0, ddof=1) / len(baseline))
        parts = [np.nanmedian(proposed[:, i : i + PART]) for i in range(0, contest.trials, PART)]
        found.append(
            {
                "strategy": name,
                "seeds": len(own),
                "regret": {n: float(regret[:, n - 1].mean()) for n in counts},
                "standard_error": {n: float(regret[:, n - 1].std(ddof=1) / len(regret) ** 0.5) for n in counts},
                "below_random": {n: float((baseline.mean(0) - regret.mean(0))[n - 1] / error[n - 1]) for n in counts},
                "median_rewards": [float(part) for part in parts],
                "different": float(np.mean([len(set(one.rows)) / len(one.rows) for one in own])),
            }
        )
    return found


def print_report(found: Sequence[dict[str, Any]]) -> None:
    """As a table."""
    counts = list(found[0]["regret"])
    columns = (
        "strategy",
        *(f"regret at {n}" for n in counts),
        "median rewards by hundred",
        "below random",
        "different",
    )
    rows = []
    for one in found:
        cells = [f"{one['regret'][n]:.3f} ± {one['standard_error'][n]:.3f}" for n in counts]
        parts = " ".join(f"{part:.3f}" for part in one["median_rewards"])
        below = f"{one['below_random'][counts[-1]]:.1f} se"
        rows.append((one["strategy"], *cells, parts, below, f"{100 * one['different']:.0f} %"))
    print_table(columns, rows)


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing; write rows of all and what there is to say of them."""
    about = conditions()
    print_conditions(about)
    options.output.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = dict(about)
    for label, contest in contests(options.tables, options.trials).items():
        if label not in options.only:
            continue
        seeds = {name: options.seeds * (CHEAP if name == RANDOM else 1) for name in options.strategies}
        wanted = [(name, seed) for name in options.strategies for seed in range(seeds[name])]
        runs = complete(options.output / f"{label}.parquet", wanted, partial(run, contest))
        order = options.strategies
        shown = [one for one in runs if one.strategy in order]
        summary[label] = report(contest, sorted(shown, key=lambda one: (order.index(one.strategy), one.seed)))
        print(f"\n{label}: {contest.metric}, judged by {'the reward' if contest.latency else contest.judged_by}")
        print_report(summary[label])
    (options.output / "controllers.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=10, trials=500)
    parser.add_argument("--only", nargs="*", default=CONTESTS)
    parser.add_argument("--strategies", nargs="+", default=SETTINGS)
    main(parser.parse_args())

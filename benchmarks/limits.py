"""How many trainings do strategies need where a limit stops most of what is drawn?

On NAS-Bench-201 and NAS-Bench-Macro, with a limit on a latency that a small share of the table keeps. What is over the
limit is not trained and costs next to nothing, so that only what keeps it is counted, for random search too: its
trainings are a fair sample of what is within. Told are the regret against the best within the limit, and the share of
the hypervolume of the front within it, whose reference point is the median quality and the 90th percentile of the
latency there. Every run's rows are kept; a run that is there already is not made again.

Usage: python benchmarks/limits.py TABLES OUTPUT [--seeds 20] [--trials 60] [--share .06] [--only CONTEST …]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from conditions import conditions, print_conditions, print_table
from numpy.typing import NDArray
from tables import FINAL, MACRO, MACRO_ACCURACY, NB201, PIXEL3, RASPI4, arguments, complete

from paretonas.compare import Contest, Run, best_so_far
from paretonas.loop.gates import Limits
from paretonas.loop.listener import SILENT
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Budget
from paretonas.objective import Goals, Limit, front, hypervolume
from paretonas.store import Store
from paretonas.trial import State

COUNTS = (5, 10, 20, 30, 40, 60)
STRATEGIES = ("random", "nsga2", "surrogate")
LATENCIES = {"nb201-pixel3": PIXEL3, "nb201-raspi4": RASPI4, "macro-flops": "flops"}
"""Contest -> what is limited; MACs as if they were milliseconds where a table has no latency."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limited:
    """A contest within a limit.

    Args:
        contest: Its trials are those that are trained.
        share: Of the table that keeps the limit.
    """

    contest: Contest
    share: float

    @property
    def bound(self) -> float:
        """Of the latency."""
        return float(np.quantile(self._columns[:, 1], self.share))

    @property
    def _columns(self) -> Floats:
        """(rows, 2): quality and latency."""
        table, contest = self.contest.table, self.contest
        return np.array([table.column(contest.judged_by), table.column(contest.latency or "")]).T

    def run(self, strategy: str, seed: int) -> Run:
        """One strategy with one seed; its rows are those that were trained."""
        plan = self.contest.plan(strategy, seed)
        limits = (Limit("latency_ms", self.bound),)
        objective = replace(plan.objective, limits=limits)
        proposals = 4 * self.contest.trials if strategy != "random" else int(2 * self.contest.trials / self.share)
        goals = Goals(plan.goals.metrics, limits)
        budget = Budget(trials=proposals)
        plan = replace(plan, objective=objective, gates=(Limits(objective),), goals=goals, budget=budget)
        store = Store("sqlite://")
        store.create_search(plan.name, {})
        trials = Loop(plan, store, {}, SILENT).run()
        store.close()
        trained = sorted((t for t in trials if t.state is State.COMPLETE), key=lambda t: t.told or 0)
        rows = tuple(self.contest.table.row(trial.architecture) for trial in trained[: self.contest.trials])
        return Run(strategy, seed, rows, (0.0,))

    def scores(self, runs: Sequence[Run]) -> tuple[Floats, Floats]:
        """(runs, trials) each: regret, and share of the front's hypervolume."""
        columns = self._columns
        within = columns[columns[:, 1] <= self.bound]
        reference = (float(np.median(within[:, 0])), -float(np.quantile(within[:, 1], 0.9)))
        regrets = within[:, 0].max() - best_so_far(self.contest, runs)
        counts = range(1, 1 + self.contest.trials)
        volumes = [[_volume(columns[list(one.rows[:n])], reference) for n in counts] for one in runs]
        return regrets, np.array(volumes) / _volume(within, reference)


def _volume(points: Floats, reference: tuple[float, float]) -> float:
    better = [(a, -b) for a, b in points.tolist() if a > reference[0] and -b > reference[1]]
    return hypervolume([better[i] for i in front(better)], reference)


def report(label: str, limited: Limited, runs: Sequence[Run]) -> None:
    """Means over the seeds, with standard errors."""
    print(f"\n{label}, {limited.share:.0%} within {limited.bound:.3g}: mean regret; share of the front within")
    counts = [n for n in COUNTS if n <= limited.contest.trials]
    rows = []
    for name in dict.fromkeys(one.strategy for one in runs):
        own = [one for one in runs if one.strategy == name]
        cells = []
        for values in limited.scores(own):
            error = values.std(0, ddof=1) / len(own) ** 0.5
            cells += [f"{values[:, n - 1].mean():.3f} ± {error[n - 1]:.3f}" for n in counts]
        rows.append((name, len(own), min(len(one.rows) for one in own), *cells))
    print_table(("", "seeds", "fewest", *(f"{n}" for n in counts), *(f"share {n}" for n in counts)), rows)


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing, then print what came out."""
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    for label, latency in LATENCIES.items():
        if label in (options.only or LATENCIES):
            file, metric = (MACRO, MACRO_ACCURACY) if label.startswith("macro") else (NB201, FINAL)
            limited = Limited(
                Contest(options.tables / file, metric, latency=latency, trials=options.trials), options.share
            )
            wanted = [(name, seed) for name in STRATEGIES for seed in range(options.seeds)]
            report(label, limited, complete(options.output / f"{label}.parquet", wanted, limited.run))


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=20, trials=60)
    parser.add_argument("--share", type=float, default=0.06, help="of the table that keeps the limit")
    parser.add_argument("--only", nargs="*", default=[], choices=[*LATENCIES], help="contests")
    main(parser.parse_args())

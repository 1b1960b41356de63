"""How many trainings do strategies need in spaces too large for a table? Searches whose trainings are imitated.

Spaces of tables are so small that a strategy may look at a good part of them before each proposal; those of real
searches have some 1e18 networks. Here trees, boosted on networks that searches have trained and timed, say what any
network of their space would reach, and a noise is added such as trainings and some thousand validation images have. No
strategy knows the trees. Networks over a latency that half of the space keeps are not trained, as in a search with a
limit. Told are the accuracy, without the noise, of the network that a user would take (the best as it was told within
three quarters of the limit), and the hypervolume of the front over that of 4,000 random networks. It tells strategies
apart, and nothing of networks.

Usage: python benchmarks/imitated.py OUTPUT [--results docs/results] [--seeds 10] [--trials 50] [--only SPACE …]
[--strategies STRATEGY …]. What every run trained is kept; a run that is there already is not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table, write_rows
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from paretonas.objective import Goals, Limit, front, hypervolume
from paretonas.space import SearchSpace, spaces
from paretonas.strategy import strategies
from paretonas.strategy.surrogates.gaussian import one_hot
from paretonas.trial import State, Trial

Floats = NDArray[np.float64]

COUNTS = (10, 15, 20, 30, 50, 100)
STRATEGIES = ("random", "nsga2", "surrogate")
SOURCES = {
    "mnasnet": tuple(f"cifar10-100/cifar10-{name}.parquet" for name in ("ppo.random", "surrogate", "ppo", "evolution")),
    "elastic": ("speedup/sandwich/minedM.parquet",),
}
"""Space -> searches of it: networks that were trained alone, and scores by a supernet."""
SHARE, TARGET = 0.5, 0.75
"""Of random networks that keep the limit; of the limit, what a user aims at."""
NOISE = 0.35
"""Standard deviation of what a training gives beside the network's own accuracy, over that of the networks."""
DRAWN = 4000
MOST = 40
"""Times as many proposals as trainings."""


@dataclass(frozen=True)
class Imitation:
    """What trees say of a space.

    Args:
        results: The folder docs/results.
        sources: Files of searches in one space, under it.
    """

    results: Path
    sources: Sequence[str]

    @cached_property
    def trained(self) -> dict[tuple[int, ...], tuple[float, float]]:
        """Choices -> accuracy and latency, of what the searches trained."""
        rows = [row for name in self.sources for row in pq.read_table(self.results / name).to_pylist()]
        latency = "estimated_ms" if "estimated_ms" in rows[0] else "latency_ms"
        complete = [row for row in rows if row["state"] == State.COMPLETE.value]
        return {tuple(row["choices"]): (row["accuracy"], row[latency]) for row in complete}

    @cached_property
    def space(self) -> SearchSpace:
        """Of them all."""
        return spaces.create(
            pq.read_table(self.results / self.sources[0], columns=["space"])["space"][0].as_py()
        ).build()

    @cached_property
    def trees(self) -> tuple[GradientBoostingRegressor, GradientBoostingRegressor]:
        """Of accuracies, and of the logarithms of latencies."""
        x, y = self.inputs(list(self.trained)), np.array(list(self.trained.values()))
        accuracy = GradientBoostingRegressor(n_estimators=150, learning_rate=0.08, subsample=0.7, random_state=0)
        latency = GradientBoostingRegressor(n_estimators=300, random_state=0)
        return accuracy.fit(x, y[:, 0]), latency.fit(x, np.log(y[:, 1]))

    def inputs(self, choices: Sequence[tuple[int, ...]]) -> Floats:
        """What trees see: every choice, and its place."""
        sizes = [len(decision.choices) for decision in self.space.decisions]
        return np.concatenate([one_hot(choices, sizes), np.array(choices, np.float64)], axis=1)

    def of(self, choices: Sequence[tuple[int, ...]]) -> Floats:
        """(n, 2): accuracies and latencies in milliseconds."""
        accuracy, latency = (tree.predict(self.inputs(choices)) for tree in self.trees)
        return np.stack([accuracy, np.exp(latency)], axis=1)

    @cached_property
    def drawn(self) -> Floats:
        """(DRAWN, 2): of random networks."""
        rng = Random(0)
        return self.of([self.space.sample(rng).choices for _ in range(DRAWN)])

    @cached_property
    def bound(self) -> float:
        """The limit in milliseconds."""
        return float(np.quantile(self.drawn[:, 1], SHARE))

    def run(self, strategy: str, seed: int, trainings: int) -> dict[str, Any]:
        """A search: of all that was trained the accuracies, without noise and with it, and the latencies."""
        options, noise = strategies.create(strategy), np.random.default_rng(seed)
        goals = ("accuracy", "estimated_ms") if options.pursues == "goals" else ("reward",)
        running = options.start(self.space, seed, Goals(goals, (Limit("estimated_ms", self.bound),)))
        spread = NOISE * float(np.std([accuracy for accuracy, _ in self.trained.values()]))
        kept: list[tuple[float, float, float]] = []
        told = 0
        while len(kept) < trainings and told < MOST * trainings:
            (proposal,) = running.ask(1)
            ((accuracy, ms),) = self.of([proposal.architecture.choices]).tolist()
            seen, metrics, state, reward = 0.0, {"estimated_ms": ms}, State.PRUNED, 0.0
            if ms <= self.bound:
                reward = seen = min(max(accuracy + spread * noise.standard_normal(), 0.0), 1.0)
                metrics, state = {**metrics, "accuracy": seen}, State.COMPLETE
                kept.append((accuracy, seen, ms))
            trial = Trial(proposal.number, proposal.architecture, str(told), state, metrics, reward, told=told)
            running.tell([trial])
            told += 1
        accuracies, seen_ones, latencies = zip(*kept, strict=True)
        return {"strategy": strategy, "seed": seed, "accuracy": accuracies, "seen": seen_ones, "ms": latencies}

    def taken(self, run: dict[str, Any], n: int) -> float:
        """Accuracy in percent of what a user would take after n trainings."""
        within = [row for row in _columns(run)[:n].tolist() if row[2] <= TARGET * self.bound]
        return 100 * float(max(within, key=lambda row: row[1])[0]) if within else np.nan

    def share(self, run: dict[str, Any], n: int) -> float:
        """Hypervolume of the front after n trainings, over that of the random networks."""
        within = self.drawn[self.drawn[:, 1] <= self.bound]
        reference = (float(np.median(within[:, 0])), -self.bound)
        return _volume(_columns(run)[:n, [0, 2]], reference) / _volume(within, reference)


def _columns(run: dict[str, Any]) -> Floats:
    """(trainings, 3)."""
    return np.array([run["accuracy"], run["seen"], run["ms"]]).T


def _volume(points: Floats, reference: tuple[float, float]) -> float:
    rising = [(accuracy, -ms) for accuracy, ms in points.tolist()]
    return hypervolume([rising[i] for i in front(rising)], reference)


def report(label: str, imitation: Imitation, runs: Sequence[dict[str, Any]], trainings: int) -> None:
    """Means over the seeds, with standard errors."""
    print(f"\n{label}, from {len(imitation.trained)} networks: accuracy of what is taken; share of the front")
    counts = [n for n in COUNTS if n <= trainings]
    rows = []
    for name in dict.fromkeys(run["strategy"] for run in runs):
        own = [run for run in runs if run["strategy"] == name]
        cells = []
        for digits, score in ((2, imitation.taken), (3, imitation.share)):
            for n in counts:
                values = np.array([score(run, n) for run in own])
                error = np.nanstd(values, ddof=1) / len(own) ** 0.5
                cells.append(f"{np.nanmean(values):.{digits}f} ± {error:.{digits}f}")
        rows.append((name, len(own), *cells))
    print_table(("", "seeds", *(f"{n}" for n in counts), *(f"share {n}" for n in counts)), rows)


def main() -> None:
    """Make the runs that are missing, then print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=50, help="trainings of a run")
    parser.add_argument("--only", nargs="*", default=[], choices=[*SOURCES], help="spaces")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    for label in options.only or SOURCES:
        imitation, file = Imitation(options.results, SOURCES[label]), options.output / f"{label}.parquet"
        runs = pq.read_table(file).to_pylist() if file.exists() else []
        made = {(run["strategy"], run["seed"]) for run in runs}
        for name in options.strategies:
            for seed in range(options.seeds):
                if (name, seed) not in made:
                    runs.append(imitation.run(name, seed, options.trials))
                    write_rows(runs, file)
        report(label, imitation, runs, options.trials)


if __name__ == "__main__":
    main()

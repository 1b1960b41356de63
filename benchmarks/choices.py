"""Which choices of a space pay on a device? Effects of each on latency and quality, over the trials of a search.

Networks drawn at random are best (`--strategy random`), thousands of them scored by a supernet. The logarithm of the
latency and the quality are each fitted by a sum over the choices. What a choice pays is the quality that networks with
it have beyond others of the same latency. Choices of the same kind in several blocks are shown by their mean.
Usage: choices.py HOME NAME.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from conditions import conditions, print_conditions, print_table

from paretonas import Store
from paretonas.report.aims import Aims
from paretonas.search.sections import config_from_json
from paretonas.space import Decision, SearchSpace, spaces
from paretonas.trial import State

RIDGE = 1.0
DRAWS = 200


def one_hot(choices: np.ndarray, decisions: Sequence[Decision]) -> np.ndarray:
    """A column for each choice of each decision, less the share of networks that have it."""
    columns = [choices[:, i] == c for i, decision in enumerate(decisions) for c in range(len(decision.choices))]
    x = np.stack(columns, axis=1).astype(float)
    return x - x.mean(0)


def effects(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each column on the numbers, by ridge regression."""
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y - y.mean()))


def kinds(decisions: Sequence[Decision]) -> Iterator[tuple[str, list[int]]]:
    """A kind of decision with a choice of it, and its columns."""
    found: dict[tuple[str, str], list[int]] = {}
    column = 0
    for decision in decisions:
        block, _, kind = decision.name.rpartition(".")
        where = kind if block.startswith("block") else decision.name
        for choice in decision.choices:
            found.setdefault((where, str(choice)), []).append(column)
            column += 1
    yield from ((f"{kind} {choice}", columns) for (kind, choice), columns in found.items())


def compared(space: SearchSpace, choices: np.ndarray, ms: np.ndarray, quality: np.ndarray) -> Iterator[tuple[str, ...]]:
    """A line for each choice: effects on latency and quality, and what it pays, with its standard error."""
    x, log_ms = one_hot(choices, space.decisions), np.log(ms)
    slope = np.polyfit(log_ms, quality, 2)
    beyond = quality - np.polyval(slope, log_ms)
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(x), size=len(x)) for _ in range(DRAWS)]
    again = np.array([effects(x[drawn], beyond[drawn]) for drawn in draws])
    slower, better, pays = (effects(x, y) for y in (log_ms, 100 * quality, 100 * beyond))
    for name, columns in kinds(space.decisions):
        error = 100 * again[:, columns].mean(1).std()
        shown = (f"{100 * np.expm1(slower[columns].mean()):+.1f} %", f"{better[columns].mean():+.2f}")
        yield (name, *shown, f"{pays[columns].mean():+.2f} ± {error:.2f}")


def main() -> None:
    """Read, fit and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("name")
    options = parser.parse_args()
    print_conditions(conditions())
    store = Store(options.home / "store.db")
    config = store.config(options.name)
    aims, selected = Aims.of(config), config_from_json(config).space
    (latency,) = aims.latencies
    space = spaces.create(selected).build()
    unique = {trial.spec_hash: trial for trial in store.trials(options.name) if trial.state is State.COMPLETE}
    trials = list(unique.values())
    choices = np.array([trial.architecture.choices for trial in trials])
    ms, quality = (np.array([trial.metrics[name] for trial in trials]) for name in (latency, aims.quality))
    print(
        f"{len(trials)} networks; {latency} {ms.min():.3f} to {ms.max():.3f}, {aims.quality} up to {quality.max():.3f}"
    )
    print_table(("choice", "latency", "points", "points at equal latency"), compared(space, choices, ms, quality))


if __name__ == "__main__":
    main()

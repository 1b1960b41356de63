"""NSGA-II: evolution towards a front of several goals, within limits.

Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE Transactions on Evolutionary
Computation 6(2), 2002: sections III (non-dominated sorting, crowding) and VI (constrained domination).
Differs: decisions are categorical, so crossover takes each from either parent and mutation draws a choice; a child that
was proposed before is drawn anew; survivors are picked each time `population` trials have ended, in the order in which
they ended, so that trials may run beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace, Spec
from paretonas.strategy.strategy import AskCounter, Prior, Pursues, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial

TRIES = 20
"""So often a child that was proposed before is drawn anew."""


@dataclass(frozen=True)
class NSGA2(StrategyOptions):
    """Tournaments by non-dominated rank and crowding; the best of parents and children survive.

    Args:
        population: Survivors, and random architectures at the start. Published: 100, for runs of 25,000.
        crossover: Probability that a child has two parents. Published: .9.
        mutation: Expected number of decisions that are drawn anew. Published: 1.

    Raises:
        UsageError: A value out of range.
    """

    pursues: ClassVar[Pursues] = "front"
    population: int = 20
    crossover: float = 0.9
    mutation: float = 1.0

    def __post_init__(self) -> None:
        if not (2 <= self.population <= 100_000 and 0 <= self.crossover <= 1 and self.mutation > 0):
            raise UsageError(
                f"`2 <= population <= 100000`, `0 <= crossover <= 1`, `mutation > 0` must hold, but got {self}."
            )

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return _NSGA2(self, space, seed, goals)


@dataclass(frozen=True)
class Member:
    """A trial with where it stands.

    Args:
        trial: What became of a proposal.
        values: Its goals, to be maximized; None if it has none.
        violation: Of the limits; 0 if it keeps them.
        rank: Number of the front that it is on, from 0.
        crowding: How far its neighbours on that front are; infinite at the ends.
    """

    trial: Trial
    values: tuple[float, ...] | None
    violation: float
    rank: int = 0
    crowding: float = 0.0

    @property
    def key(self) -> tuple[int, float]:
        """Smaller is better."""
        return self.rank, -self.crowding


class _NSGA2(Strategy):
    def __init__(self, options: NSGA2, space: SearchSpace, seed: int, goals: Goals):
        self._options, self._space, self._seed, self._goals = options, space, seed, goals
        self._counter = AskCounter()
        self._seen: set[Spec] = set()
        self._alive: list[Member] = []
        self._young: list[Member] = []

    def ask(self, n: int) -> list[Proposal]:
        return [self._propose(self._counter.take()) for _ in range(n)]

    def _propose(self, number: int) -> Proposal:
        rng = generator(self._seed, number)
        context: dict[str, list[int]] = {}
        for _ in range(TRIES):
            if number < self._options.population or not self._alive:
                architecture = self._space.sample(rng)
            else:
                architecture, parents = self._child(rng)
                context = {"parents": parents}
            spec = self._space.decode(architecture)
            if spec not in self._seen and self._space.contains(architecture):
                break
        else:
            if not self._space.contains(architecture):
                architecture, context = self._space.sample(rng), {}
                spec = self._space.decode(architecture)
        self._seen.add(spec)
        return Proposal(number, architecture, context)

    def _child(self, rng: Random) -> tuple[Architecture, list[int]]:
        parents = [self._tournament(rng)]
        architecture = parents[0].architecture
        if rng.random() < self._options.crossover:
            parents.append(self._tournament(rng))
            architecture = self._space.crossover(architecture, parents[1].architecture, rng)
        return self._mutate(architecture, rng), [parent.number for parent in parents]

    def _tournament(self, rng: Random) -> Trial:
        return min((rng.choice(self._alive) for _ in range(2)), key=lambda member: member.key).trial

    def _mutate(self, architecture: Architecture, rng: Random) -> Architecture:
        chance = self._options.mutation / len(self._space.decisions)
        return self._space.redrawn(architecture, chance, rng)

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            self._seen.add(self._space.decode(trial.architecture))
            self._young.append(Member(trial, self._goals.values(trial), self._goals.violation(trial)))
            if len(self._young) == self._options.population:
                self._alive = survivors([*self._alive, *self._young], self._options.population)
                self._young = []


def survivors(members: Sequence[Member], n: int) -> list[Member]:
    """The best `n`, ranked: fronts of those that keep the limits, then the others by how much they exceed them."""
    feasible = [m for m in members if m.values is not None and m.violation == 0]
    points = np.array([m.values for m in feasible], dtype=float)  # (n, m)
    ranked: list[Member] = []
    rank = -1
    for rank, indices in enumerate(sorted_fronts(points) if feasible else []):
        crowding = crowding_distances(points[indices])
        ranked += [
            Member(feasible[i].trial, feasible[i].values, 0.0, rank, float(c))
            for i, c in zip(indices, crowding, strict=True)
        ]
    others = sorted((m for m in members if m.values is None or m.violation > 0), key=lambda m: m.violation)
    ranked += [Member(m.trial, m.values, m.violation, rank + 1 + i) for i, m in enumerate(others)]
    return sorted(ranked, key=lambda member: member.key)[:n]


def sorted_fronts(points: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Indices of the points by non-dominated front.

    Args:
        points: (n, m), all to be maximized.

    >>> [front.tolist() for front in sorted_fronts(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 0.0]]))]
    [[1, 2], [0]]
    """
    at_least = np.all(points[:, None, :] >= points[None, :, :], axis=2)  # (n, n): i nowhere below j
    dominates = at_least & ~at_least.T
    left = np.arange(len(points))
    fronts = []
    while len(left):
        dominated = dominates[np.ix_(left, left)].any(axis=0)
        fronts.append(left[~dominated])
        left = left[dominated]
    return fronts


def crowding_distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the goals of the gap between a point's neighbours, in shares of the range; infinite at the ends.

    Args:
        points: (n, m) of one front.
    """
    distances = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]]
        distances[order[[0, -1]]] = math.inf
        if span > 0 and len(points) > 2:
            distances[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distances

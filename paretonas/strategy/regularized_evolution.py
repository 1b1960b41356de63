"""Regularized (aging) evolution: AmoebaNet's search.

Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019, algorithm 1.
Differs: mutations are drawn until the spec changes (the paper keeps the parent with probability 0.05); evaluation is
asynchronous, so the population is the last `population` trials in the order in which they ended, and the first
`population` proposals are random whether or not the earlier ones have ended; failed trials never enter the population.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace
from paretonas.strategy.strategy import AskCounter, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class RegularizedEvolution(StrategyOptions):
    """The best of a random tournament gets one mutated child; the oldest of the population dies.

    A child that was evaluated before is proposed all the same: as in the paper, a duplicate is a member of its own.

    Args:
        population: Members alive, and random architectures at the start. Published: 100.
        tournament: Members drawn with replacement for each child. Published: 25.

    Raises:
        UsageError: One of them is not positive.
    """

    learns_from_prior: ClassVar[bool] = True
    population: int = 100
    tournament: int = 25

    def __post_init__(self) -> None:
        if not (1 <= self.population <= 1_000_000 and 1 <= self.tournament <= 1_000_000):
            raise UsageError(
                "`1 <= population, tournament <= 1000000` must hold, "
                f"but got (population={self.population}, tournament={self.tournament})."
            )

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Trial] = ()) -> Strategy:
        """Begin a search; prior trials are the population that it begins with, as far as they go."""
        return _RegularizedEvolution(self, space, seed, prior)


class _RegularizedEvolution(Strategy):
    def __init__(self, options: RegularizedEvolution, space: SearchSpace, seed: int, prior: Sequence[Trial]):
        self._options, self._space, self._seed = options, space, seed
        self._alive: deque[tuple[float, Architecture, int | None]] = deque(maxlen=options.population)
        self._counter = AskCounter()
        for reward, trial in sorted(
            ((trial.usable_reward, trial) for trial in prior if trial.usable_reward is not None), key=lambda one: one[0]
        ):  # the best stay and die last; a number of another search says nothing here
            if space.contains(trial.architecture):
                self._alive.append((reward, trial.architecture, None))
        self._random = options.population - len(self._alive)

    def ask(self, n: int) -> list[Proposal]:
        return [self._propose(self._counter.take()) for _ in range(n)]

    def _propose(self, number: int) -> Proposal:
        rng = generator(self._seed, number)
        if number < self._random or not self._alive:
            return Proposal(number, self._space.sample(rng))
        drawn = [rng.choice(self._alive) for _ in range(self._options.tournament)]
        _, architecture, parent = max(drawn, key=lambda member: member[0])
        child = self._space.mutate(architecture, rng)
        return Proposal(number, child, {} if parent is None else {"parent": parent})

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            if trial.usable_reward is not None:
                self._alive.append((trial.usable_reward, trial.architecture, trial.number))

"""Random search: independent uniform samples. The baseline of every search.

Source: Li and Talwalkar, Random Search and Reproducibility for Neural Architecture Search, UAI 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.objective import Goals
from paretonas.space import SearchSpace
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class RandomSearch(StrategyOptions):
    """Uniform samples, blind to what became of the earlier ones; may repeat itself."""

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return _RandomSearch(space, seed)


class _RandomSearch(Strategy):
    def __init__(self, space: SearchSpace, seed: int):
        self._space, self._seed, self._counter = space, seed, AskCounter()

    def ask(self, n: int) -> list[Proposal]:
        numbers = [self._counter.take() for _ in range(n)]
        return [Proposal(number, self._space.sample(generator(self._seed, number))) for number in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)

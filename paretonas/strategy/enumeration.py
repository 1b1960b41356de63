"""Every architecture of a space once, in order, for spaces that are lists, such as the zoo, and small ones; or some.

Source: ours; exhaustive search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class Listed(StrategyOptions):
    """These architectures, in their order, then the end; what somebody else has chosen.

    Args:
        proposals: Numbered from 0.
    """

    proposals: tuple[Proposal, ...]

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search; nothing but the proposals matters."""
        return _Listed(self.proposals)


class _Listed(Strategy):
    def __init__(self, proposals: Sequence[Proposal]):
        self._counter, self._proposals = AskCounter(), proposals

    def ask(self, n: int) -> list[Proposal]:
        count = min(n, len(self._proposals) - self._counter.next)
        return [self._proposals[self._counter.take()] for _ in range(count)]

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)

    @property
    def is_finished(self) -> bool:
        return self._counter.next >= len(self._proposals)


@dataclass(frozen=True)
class Enumeration(StrategyOptions):
    """All architectures in lexicographic order, then the end; learns nothing."""

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search; `seed` changes nothing."""
        return _Enumeration(space)


class _Enumeration(Strategy):
    def __init__(self, space: SearchSpace):
        self._counter, self._passed = AskCounter(), 0
        choices = product(*(range(len(decision.choices)) for decision in space.decisions))
        self._left = filter(space.contains, (Architecture(space.name, one) for one in choices))
        self._next = next(self._left, None)

    def ask(self, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < n and self._next is not None:
            proposals.append(Proposal(self._counter.take(), self._next))
            self._pass()
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        while self._passed < self._counter.next and self._next is not None:
            self._pass()

    def _pass(self) -> None:
        self._next, self._passed = next(self._left, None), self._passed + 1

    @property
    def is_finished(self) -> bool:
        return self._next is None

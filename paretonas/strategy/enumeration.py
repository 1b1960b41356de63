"""Every architecture of a space once, in order: for spaces that are lists, such as the zoo, and for small ones.

Source: ours; exhaustive search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.space import Architecture, SearchSpace
from paretonas.strategy.strategy import AskCounter, Strategy
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class Enumeration:
    """All architectures in lexicographic order, then the end; learns nothing."""

    def start(self, space: SearchSpace, seed: int) -> Strategy:
        """Begin a search; `seed` changes nothing."""
        return _Enumeration(space)


class _Enumeration(Strategy):
    def __init__(self, space: SearchSpace):
        self._space, self._counter = space, AskCounter()

    def ask(self, n: int) -> list[Proposal]:
        found: list[Proposal] = []
        while len(found) < n and not self.is_finished:
            number = self._counter.take()
            found.append(Proposal(number, Architecture(self._space.name, self._choices(number))))
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)

    @property
    def is_finished(self) -> bool:
        return self._counter.next >= self._space.size

    def _choices(self, number: int) -> tuple[int, ...]:
        """`number` in the mixed radix of the decisions, the last one moving fastest."""
        choices = []
        for decision in reversed(self._space.decisions):
            number, choice = divmod(number, len(decision.choices))
            choices.append(choice)
        return tuple(reversed(choices))

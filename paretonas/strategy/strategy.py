"""The contract of a search strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from paretonas.objective import Goals
from paretonas.space import SearchSpace
from paretonas.trial import Proposal, Trial

Pursues = Literal["reward", "goals", "front"]


@dataclass(frozen=True)
class Prior:
    """An earlier search of the same space, to learn from.

    Args:
        trials: Complete ones, their rewards those of this search's objective.
        is_alike: Whether they were measured as this search measures: the same task, recipe and devices. If not, they
            say which architectures are the better ones, and not what this search would measure of them.
    """

    trials: tuple[Trial, ...]
    is_alike: bool = True


class StrategyOptions(ABC):
    """What is registered: a frozen dataclass whose fields are the strategy's options.

    Attributes:
        pursues: "reward": the reward, whatever the goals. "goals": whatever the goals are; where none are given, the
            reward. "front": likewise, but where none are given, quality and every latency.
        learns_from_prior: Whether earlier searches are of use to it.
    """

    pursues: ClassVar[Pursues] = "reward"
    learns_from_prior: ClassVar[bool] = False

    @abstractmethod
    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """A strategy that has proposed nothing and was told nothing.

        Args:
            space: What can be built.
            seed: Of everything random.
            goals: What to pursue, and the limits.
            prior: Earlier searches.
        """


class Strategy(ABC):
    """Proposes architectures and learns from what became of them. Nothing but `ask` and `tell` reaches it.

    An implementer keeps these promises, which make a search resumable from its stored trials alone:

    - A proposal depends on the seed, its ask number and the trials told before it was asked, in the order told; not on
      how asks and tells were grouped. Random generators come from `generator(seed, ask or update number)`.
    - What `tell` needs to know of the ask travels in `Proposal.context`.
    - `tell` is given final trials only. Failed ones have no usable reward; pruned ones have reward 0 if they broke a
      limit, that of what they reached if their training was stopped early, and none if they were screened out. It
      copes with duplicates, NaN rewards and spaces of one architecture.
    - A strategy that is told the trials of an earlier process goes on with the ask number after the highest told.
    """

    @abstractmethod
    def ask(self, n: int) -> list[Proposal]:
        """At most `n` proposals; fewer or none if more has to be told first."""

    @abstractmethod
    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in trials that have ended, in the order in which they ended."""

    @property
    def is_finished(self) -> bool:
        """Whether there will never be another proposal."""
        return False


class AskCounter:
    """Counts ask numbers, also across a resume; `next` is the one to be taken.

    >>> counter = AskCounter()
    >>> counter.take(), counter.take()
    (0, 1)
    """

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """The next ask number."""
        self.next += 1
        return self.next - 1

    def see(self, trials: Sequence[Trial]) -> None:
        """Skip the numbers that an earlier process has asked."""
        self.next = max([self.next, *(trial.number + 1 for trial in trials)])


def generator(seed: int, number: int, purpose: str = "ask") -> Random:
    """A random generator of its own for one ask or one update."""
    return Random(f"{seed}/{purpose}/{number}")

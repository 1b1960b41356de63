"""Local search: from the best of some random architectures uphill, one decision at a time.

Source: White et al., Exploring the Loss Landscape in Neural Architecture Search, UAI 2021 (local search with restarts).
Differs: it moves to the first neighbour that is better, which the paper found as good and which wastes nothing where
trials run beside each other, instead of trying all neighbours first; neighbours of an equal spec are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace, Spec
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class LocalSearch(StrategyOptions):
    """Hill climbing by first improvement; from a local optimum it starts anew.

    Args:
        initial: Random architectures of which the best is where a climb begins.

    Raises:
        UsageError: It is not positive.
    """

    initial: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.initial <= 1_000_000:
            raise UsageError(f"`1 <= initial <= 1000000` must hold, but got (initial={self.initial}).")

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return _LocalSearch(self, space, seed)


class _LocalSearch(Strategy):
    """A climb is numbered, and so is its centre: by the trial that it is. Both travel in the context of a proposal."""

    def __init__(self, options: LocalSearch, space: SearchSpace, seed: int):
        self._options, self._space, self._seed = options, space, seed
        self._counter = AskCounter()
        self._seen: set[Spec] = set()
        self._climb = 0
        self._begun: list[Trial] = []
        self._centre: Trial | None = None
        self._asked: Counter[int] = Counter()
        self._told: Counter[int] = Counter()
        self._around: list[Architecture] = []

    def ask(self, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < n:
            architecture = self._next()
            if architecture is None:
                break
            context: dict[str, int] = {"climb": self._climb}
            if self._centre is not None:
                context["centre"] = self._centre.number
            proposals.append(Proposal(self._counter.take(), architecture, context))
            self._asked[self._climb] += 1
            self._seen.add(self._space.decode(architecture))
        return proposals

    def _next(self) -> Architecture | None:
        """A beginning or a neighbour; None if more has to be told first."""
        if self._centre is None:
            if self._asked[self._climb] < self._options.initial:
                return self._space.sample(generator(self._seed, self._counter.next))
            return None
        while self._around:
            neighbour = self._around.pop()
            if self._space.decode(neighbour) not in self._seen:
                return neighbour
        if self._told[self._climb] < self._asked[self._climb]:
            return None
        self._climb, self._centre, self._begun = self._climb + 1, None, []
        return self._space.sample(generator(self._seed, self._counter.next))

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            self._see(trial)

    def _see(self, trial: Trial) -> None:
        self._seen.add(self._space.decode(trial.architecture))
        climb = int(trial.context.get("climb", self._climb))
        if climb > self._climb:  # of an earlier process, which had begun to climb anew
            self._climb, self._centre, self._begun = climb, None, []
        self._told[climb] += 1
        self._asked[climb] = max(self._asked[climb], self._told[climb])
        if climb < self._climb:
            return
        if self._centre is None:
            self._begin(trial)
        elif (trial.usable_reward or 0.0) > (self._centre.usable_reward or 0.0):
            self._move(trial)

    def _begin(self, trial: Trial) -> None:
        self._begun.append(trial)
        if len(self._begun) < self._options.initial:
            return
        usable = [t for t in self._begun if t.usable_reward is not None]
        if usable:
            self._move(max(usable, key=lambda t: t.usable_reward or 0.0))
        else:
            self._climb, self._begun = self._climb + 1, []

    def _move(self, trial: Trial) -> None:
        self._centre = trial
        self._around = list(self._space.neighbours(trial.architecture))
        generator(self._seed, trial.number, "neighbours").shuffle(self._around)

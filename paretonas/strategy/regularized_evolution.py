"""Regularized (aging) evolution: AmoebaNet's search, and its non-aging rival.

Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019, algorithm 1.
Differs: mutations are drawn until the spec changes. Which decision changes is drawn uniformly, which in spaces of cells
is the paper's toss between a hidden state and an op, as there are as many of each. Evaluation is asynchronous, so the
population is the last `population` trials in the order in which they ended, and the first `population` proposals are
random whether or not the earlier ones have ended; failed trials never enter the population. Without an option, a child
is never as its parent: the same training again would say nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class RegularizedEvolution(StrategyOptions):
    """The best of a random tournament gets one mutated child; the oldest of the population dies.

    A child that was evaluated before is proposed all the same: as in the paper, a duplicate is a member of its own.

    Args:
        population: Members alive, and random architectures at the start. Published: 100.
        tournament: Members drawn with replacement for each child. Published: 25.
        identity: Probability that the child is as its parent. Published: .05.
        aging: Whether the oldest dies; otherwise the worst of the tournament that gave the child does.

    Raises:
        UsageError: A number out of its range.
    """

    learns_from_prior: ClassVar[bool] = True
    population: int = 100
    tournament: int = 25
    identity: float = 0.0
    aging: bool = True

    def __post_init__(self) -> None:
        is_few = 1 <= self.population <= 1_000_000 and 1 <= self.tournament <= 1_000_000
        if not (is_few and 0 <= self.identity < 1):
            raise UsageError(
                "`1 <= population, tournament <= 1000000` and `0 <= identity < 1` must hold, but got "
                f"(population={self.population}, tournament={self.tournament}, identity={self.identity})."
            )

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search; trials of earlier ones are the population that it begins with, as far as they go."""
        return _RegularizedEvolution(self, space, seed, prior)


@dataclass(frozen=True)
class _Member:
    """Of the population; `number` is None where it is a trial of another search."""

    reward: float
    architecture: Architecture
    number: int | None


class _RegularizedEvolution(Strategy):
    def __init__(self, options: RegularizedEvolution, space: SearchSpace, seed: int, prior: Sequence[Prior]):
        self._options, self._space, self._seed = options, space, seed
        earlier = [trial for one in prior for trial in one.trials]
        known = [_Member(t.usable_reward, t.architecture, None) for t in earlier if t.usable_reward is not None]
        known.sort(key=lambda member: member.reward)  # the best stay and die last
        self._alive = [member for member in known if space.contains(member.architecture)][-options.population :]
        self._counter = AskCounter()
        self._random = options.population - len(self._alive)

    def ask(self, n: int) -> list[Proposal]:
        return [self._propose(self._counter.take()) for _ in range(n)]

    def _propose(self, number: int) -> Proposal:
        rng = generator(self._seed, number)
        if number < self._random or not self._alive:
            return Proposal(number, self._space.sample(rng))
        drawn = [rng.choice(self._alive) for _ in range(self._options.tournament)]
        parent = max(drawn, key=lambda member: member.reward)
        is_same = self._options.identity > 0 and rng.random() < self._options.identity
        child = parent.architecture if is_same else self._space.mutate(parent.architecture, rng)
        context: dict[str, Any] = {} if parent.number is None else {"parent": parent.number}
        if not self._options.aging:
            context["worst"] = min(drawn, key=lambda member: member.reward).number
        return Proposal(number, child, context)

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            if trial.usable_reward is not None:
                self._alive.append(_Member(trial.usable_reward, trial.architecture, trial.number))
                if len(self._alive) > self._options.population:
                    self._alive.remove(self._dying(trial))

    def _dying(self, trial: Trial) -> _Member:
        """Who makes room for a trial: where the worst of its tournament is gone meanwhile, the worst of all."""
        if self._options.aging:
            return self._alive[0]
        worst = trial.context.get("worst")
        of_tournament = [m for m in self._alive if m.number == worst] if worst is not None else []
        return min(of_tournament or self._alive, key=lambda member: member.reward)

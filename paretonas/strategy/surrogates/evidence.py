"""What trials say of all goals and limits: a model for each.

Source: ours; the models are those of `model.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from paretonas.objective import Goals, front
from paretonas.space import SearchSpace
from paretonas.strategy.surrogates.gaussian import Floats, Rows, encode, normal_scores
from paretonas.strategy.surrogates.model import Choices, Model
from paretonas.trial import Trial

PARENTS = 10
"""Of one goal, so many of the best trials are mutated; of several, the front."""
REMEMBERED = 10_000
"""Canonical forms that are kept, as proposals have candidates in common."""


class Evidence:
    """Models of a search's trials.

    Args:
        space: What can be built.
        goals: What is pursued, and the limits.
        most: Values that a model takes in at most.
        earlier: Of searches under other conditions.

    Attributes:
        goals: A model of each goal, to be maximized.
        limits: A model of each limited metric: negative where the limit is kept.
        within: Trials that have values of all goals and keep all limits.
    """

    def __init__(self, space: SearchSpace, goals: Goals, most: int, earlier: Sequence[Evidence] = ()):
        self._space, self._pursued = space, goals
        self.within = 0
        self._canonical = lru_cache(maxsize=REMEMBERED)(space.canonical)
        self.goals: list[Model] = [
            Model(self._computed, normal_scores, most, [one.goals[i] for one in earlier])
            if metric.is_rising
            else Model(self._written, np.asarray, most, [one.goals[i] for one in earlier])
            for i, metric in enumerate(goals.declared)
        ]
        self.limits: list[Model] = [
            Model(self._written, partial(_excess, limit.bound), most, [one.limits[i] for one in earlier])
            for i, limit in enumerate(goals.limits)
        ]

    def learn(self, trial: Trial) -> None:
        """Take in one more, as far as it was measured."""
        choices = trial.architecture.choices
        for model, limit in zip(self.limits, self._pursued.limits, strict=True):
            if trial.metrics.get(limit.metric, 0.0) > 0:
                model.add(choices, trial.metrics[limit.metric])
        self.within += self._pursued.violation(trial) == 0
        values = self._pursued.values(trial)
        if values is not None:
            for model, value in zip(self.goals, values, strict=True):
                model.add(choices, value)

    @property
    def knows_limits(self) -> bool:
        """Whether anything is known of what keeps a limit."""
        return any(model.has_values for model in self.limits)

    @property
    def tried(self) -> list[tuple[int, ...]]:
        """Choices of what has values of all goals."""
        return self.goals[0].choices

    @property
    def best(self) -> list[tuple[int, ...]]:
        """The front of what was tried; of one goal, the best few."""
        if len(self.goals) > 1:
            values = np.stack([model.values for model in self.goals], axis=1)  # (n, goals)
            return [self.tried[i] for i in front(values.tolist())]
        return [self.tried[i] for i in np.argsort(-self.goals[0].values, kind="stable")[:PARENTS]]

    def _written(self, choices: Choices) -> Rows:
        """What is built decides latency and cost."""
        return encode(choices, [decision.symbols for decision in self._space.decisions])

    def _computed(self, choices: Choices) -> Rows:
        """What is computed decides accuracy: architectures that compute the same are one."""
        return self._written([self._canonical(one) for one in choices])


def _excess(bound: float, values: Floats) -> Floats:
    """Logarithms of values over a bound: negative where it is kept."""
    excesses: Floats = np.log(values / bound)
    return excesses

"""Goals: metrics with a direction, of which a strategy may pursue several at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.objective.reward import Limit
from paretonas.trial import State, Trial

RISING = ("reward", "accuracy")
"""What is to be large; of every other metric, less is better."""


@dataclass(frozen=True)
class Goals:
    """What to maximize, and limits.

    Args:
        metrics: Names; `reward` is the scalar of the search's objective.
        limits: A trial that breaks one is not trained and has no values.

    Raises:
        UsageError: No metric, or one named twice.

    >>> Goals.parse("accuracy+latency_ms").metrics
    ('accuracy', 'latency_ms')
    """

    metrics: tuple[str, ...] = ("reward",)
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        if not self.metrics or "" in self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise UsageError(f"Goals are different metrics with + between them, but got {'+'.join(self.metrics)!r}.")

    @classmethod
    def parse(cls, goals: str, limits: str = "") -> Goals:
        """From `accuracy+latency_ms` and `params<=2e6+latency_ms<=8`.

        Raises:
            UsageError: Not of that form.
        """
        bounds = limits.replace("e+", "e").split("+") if limits else []  # 2e+06 is a number
        return cls(tuple(part.strip() for part in goals.split("+")), tuple(map(Limit.parse, bounds)))

    def values(self, trial: Trial) -> tuple[float, ...] | None:
        """What the trial reached, all to be maximized; None if it failed, or a number is missing.

        A trial that was stopped early has what it reached by then; one that broke a limit has the reward 0.
        """
        if trial.state not in (State.COMPLETE, State.PRUNED):
            return None
        found = {**trial.metrics, "reward": trial.reward}
        values = [found.get(name) for name in self.metrics]
        if any(value is None or not math.isfinite(value) for value in values):
            return None
        return tuple(
            float(value or 0) if name in RISING else -float(value or 0)
            for name, value in zip(self.metrics, values, strict=True)
        )

    def violation(self, trial: Trial) -> float:
        """By which share the trial exceeds the limits, summed; infinite if it has no values for another reason."""
        exceeded = [
            trial.metrics[limit.metric] / limit.bound - 1 for limit in self.limits if limit.metric in trial.metrics
        ]
        total = sum(max(0.0, share) for share in exceeded)
        if total == 0.0 and self.values(trial) is None:
            return math.inf
        return total

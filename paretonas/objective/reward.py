"""MnasNet's reward, and hard limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.trial import Metrics

SOFT = (-0.07, -0.07)
HARD = (0.0, -1.0)
REWARDS = {"soft": SOFT, "hard": HARD, "accuracy": (0.0, 0.0)}
"""Alpha and beta by the names that users write."""


def mnasnet_reward(
    accuracy: float, latency: float, target: float, alpha: float = SOFT[0], beta: float = SOFT[1]
) -> float:
    """Accuracy scaled by how latency compares with its target: `accuracy * (latency / target) ** w`.

    `w` is `alpha` up to the target and `beta` above it. The default makes 5 % relative accuracy worth a doubling of
    latency; `alpha=0, beta=-1` is the paper's hard reward.

    Args:
        accuracy: Fraction in [0, 1].
        latency: Same unit as `target`, > 0.
        target: The latency to aim at, > 0.
        alpha: Exponent up to the target.
        beta: Exponent above the target.

    Raises:
        ValueError: `latency` or `target` is not positive.

    Source: Tan et al., MnasNet, CVPR 2019, equations 2 and 3.

    >>> round(mnasnet_reward(0.5, 40.0, 80.0), 6)
    0.524858
    """
    if not (latency > 0 and target > 0):
        raise ValueError(f"`latency > 0` and `target > 0` must hold, but got (latency={latency}, target={target}).")
    return float(accuracy * (latency / target) ** (alpha if latency <= target else beta))


@dataclass(frozen=True)
class Limit:
    """A bound that no architecture may exceed: `metric <= bound`.

    >>> Limit.parse("params<=2e6").is_kept({"params": 3e6})
    False
    """

    metric: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """From `metric<=bound`.

        Raises:
            UsageError: Not of that form.
        """
        metric, found, bound = text.partition("<=")
        try:
            value = float(bound)
        except ValueError:
            value = math.nan
        if not found or not metric.strip() or not value > 0:
            raise UsageError(
                f"A limit is written metric<=bound with a positive bound ('params<=2e6'), but got {text!r}."
            )
        return cls(metric.strip(), value)

    def is_kept(self, metrics: Metrics) -> bool:
        """Whether the metric is unknown as yet or within the bound."""
        return self.metric not in metrics or metrics[self.metric] <= self.bound

    def __str__(self) -> str:
        return f"{self.metric}<={self.bound:g}"


@dataclass(frozen=True)
class Objective:
    """The scalar that a strategy maximizes, and the limits.

    Args:
        target_ms: Latency to aim at; None rewards accuracy alone.
        alpha: Exponent up to the target.
        beta: Exponent above the target.
        limits: Exceeding one prunes a trial, with reward 0.

    Raises:
        UsageError: `target_ms` is not positive.
    """

    target_ms: float | None = None
    alpha: float = SOFT[0]
    beta: float = SOFT[1]
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        if self.target_ms is not None and not 0 < self.target_ms < math.inf:
            raise UsageError(f"A target latency is a positive number of milliseconds, but got {self.target_ms}.")

    def reward(self, metrics: Metrics) -> float:
        """The reward of a fully evaluated architecture."""
        if self.target_ms is None:
            return metrics["accuracy"]
        return mnasnet_reward(metrics["accuracy"], metrics["latency_ms"], self.target_ms, self.alpha, self.beta)

    def broken_limit(self, metrics: Metrics) -> Limit | None:
        """The first limit that `metrics` exceed."""
        return next((limit for limit in self.limits if not limit.is_kept(metrics)), None)

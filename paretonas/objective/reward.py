"""Rewards: one number from a network's quality and its latencies; never negative, and larger is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from paretonas.errors import UsageError
from paretonas.registry import Registry

rewards = Registry(
    "reward",
    {
        "hard": "paretonas.objective.reward:HARD",
        "inverse-square": "paretonas.objective.reward:InverseSquare",
        "mnasnet": "paretonas.objective.reward:MnasNetReward",
        "power": "paretonas.objective.reward:Power",
        "soft": "paretonas.objective.reward:SOFT",
    },
)

LOWEST_EXPONENT = -10.0


class Reward(ABC):
    """From quality and latencies to what a strategy maximizes. A subclass is a frozen dataclass of options.

    Attributes:
        is_rising: Of which quality it is: one that rises, or one that falls.
    """

    is_rising: ClassVar[bool] = True

    @abstractmethod
    def value(self, quality: float, ratios: Sequence[float]) -> float:
        """The reward, >= 0.

        Args:
            quality: Of the network.
            ratios: Each latency over its target, > 0.
        """

    @property
    @abstractmethod
    def is_aimed(self) -> bool:
        """Whether latencies matter to it."""


def latency_factor(ratio: float, alpha: float, beta: float) -> float:
    """`ratio ** alpha` up to the target, `ratio ** beta` above it.

    Args:
        ratio: Latency over its target, > 0.
        alpha: Exponent up to the target.
        beta: Exponent above it.

    Source: Tan et al., MnasNet, CVPR 2019, equations 2 and 3.
    """
    return float(ratio ** (alpha if ratio <= 1 else beta))


def mnasnet_reward(accuracy: float, latency: float, target: float, alpha: float = -0.07, beta: float = -0.07) -> float:
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
    return float(accuracy * latency_factor(latency / target, alpha, beta))


def _check_exponents(*exponents: float) -> None:
    if not all(LOWEST_EXPONENT <= exponent <= 0 for exponent in exponents):
        raise UsageError(f"Exponents of a latency's factor lie from -10 to 0, but got {exponents}.")


@dataclass(frozen=True)
class MnasNetReward(Reward):
    """MnasNet's: a rising quality times a factor for each latency over its target.

    Args:
        alpha: Exponent of the factor up to the target.
        beta: Exponent above it.

    Raises:
        UsageError: An exponent that is not from -10 to 0.

    Source: Tan et al., MnasNet, CVPR 2019, equations 2 and 3. For several devices the factors multiply; that is ours.
    """

    alpha: float = -0.07
    beta: float = -0.07

    def __post_init__(self) -> None:
        _check_exponents(self.alpha, self.beta)

    def value(self, quality: float, ratios: Sequence[float]) -> float:
        for ratio in ratios:
            quality = quality * latency_factor(ratio, self.alpha, self.beta)
        return float(quality)

    @property
    def is_aimed(self) -> bool:
        return (self.alpha, self.beta) != (0, 0)


@dataclass(frozen=True)
class Power(Reward):
    """A rising quality alone, raised to a power; latencies do not matter.

    Args:
        exponent: 1 is the quality itself; NAS-RL's convolutional search has 3.

    Raises:
        UsageError: It is not in (0, 100].

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 4.1.
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 100:
            raise UsageError(f"`0 < exponent <= 100` must hold, but got (exponent={self.exponent}).")

    def value(self, quality: float, ratios: Sequence[float]) -> float:
        return float(quality**self.exponent)

    @property
    def is_aimed(self) -> bool:
        return False


@dataclass(frozen=True)
class InverseSquare(Reward):
    """A falling quality, such as perplexity: `scale / quality ** 2`, times MnasNet's factor for each latency.

    Args:
        scale: Numerator; published: 80.
        alpha: Exponent of the factor up to the target; published: 0, as NAS-RL has no latency.
        beta: Exponent above it; published: 0.

    Raises:
        UsageError: A value out of range.

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 4.2. The factors are
    MnasNet's.
    """

    is_rising: ClassVar[bool] = False
    scale: float = 80.0
    alpha: float = -0.07
    beta: float = -0.07

    def __post_init__(self) -> None:
        _check_exponents(self.alpha, self.beta)
        if not 0 < self.scale < 1e12:
            raise UsageError(f"`0 < scale < 1e12` must hold, but got (scale={self.scale}).")

    def value(self, quality: float, ratios: Sequence[float]) -> float:
        reward = self.scale / quality**2 if quality else float("inf")
        for ratio in ratios:
            reward = reward * latency_factor(ratio, self.alpha, self.beta)
        return float(reward)

    @property
    def is_aimed(self) -> bool:
        return (self.alpha, self.beta) != (0, 0)


SOFT = MnasNetReward(-0.07, -0.07)
"""The paper's usual one: twice the latency is worth 5 % of the quality."""
HARD = MnasNetReward(0.0, -1.0)
"""The paper's hard constraint: nothing is gained below the target."""

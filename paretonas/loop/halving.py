"""Who trains how long: every candidate to the end, or most only until it is clear that others are better.

Source of asynchronous successive halving: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020,
in the form that stops a trial at once instead of pausing it for a later promotion.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from paretonas.errors import UsageError
from paretonas.registry import Registry


class Rung:
    """Values that candidates have reached at one stage, and whether another one is among the best of them.

    Args:
        keep: Share of the values that counts as the best.

    >>> rung = Rung(0.5)
    >>> [rung.admits(value) for value in (0.2, 0.1, 0.3, 0.25)]
    [True, False, True, True]
    """

    def __init__(self, keep: float):
        self._keep = keep
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._values)

    def admits(self, value: float) -> bool:
        """Take in one more value; whether it is among the best, of which there is always one."""
        insort(self._values, value)
        best = max(1, math.floor(self._keep * len(self._values) + 1e-9))
        return value >= self._values[-best]


class Scheduler:
    """Says of every trial, whenever it has been trained for a share of the full training, whether it goes on.

    Args:
        shares: Of the full training, rising to 1, after which trials are scored.
        keep: Share of the trials at a stage that goes on to the next.
    """

    def __init__(self, shares: tuple[float, ...] = (1.0,), keep: float = 1.0):
        self.shares, self._keep = shares, keep
        self._rungs = {share: Rung(keep) for share in shares[:-1]}

    @property
    def mean_share(self) -> float:
        """What a trial is trained for on average, if just that share goes on."""
        parts = (later - earlier for earlier, later in pairwise((0.0, *self.shares)))
        return sum(part * self._keep**k for k, part in enumerate(parts))

    def goes_on(self, share: float, reward: float) -> bool:
        """Take in what a trial has reached after one of the `shares` below 1; whether it is trained further."""
        return self._rungs[share].admits(reward)

    def after(self, share: float) -> float:
        """The next of the `shares`."""
        return self.shares[self.shares.index(share) + 1]


class SchedulerOptions(Protocol):
    """What a scheduler is made of; a frozen dataclass."""

    def start(self) -> Scheduler:
        """Begin a search."""
        ...


@dataclass(frozen=True)
class Full:
    """Every candidate is trained to the end."""

    def start(self) -> Scheduler:
        """Begin a search."""
        return Scheduler()


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving: a candidate stops early unless its reward is among the best so far at its stage.

    With 3 rungs and factor 3, all train for 1/9, the best third of those for 1/3, the best third of these to the end.

    Args:
        rungs: Stages, the full training among them.
        factor: One in so many goes on from a stage to the next, which is so many times as long.

    Raises:
        UsageError: A value out of range.
    """

    rungs: int = 3
    factor: float = 3.0

    def __post_init__(self) -> None:
        if not (2 <= self.rungs <= 10 and 1 < self.factor <= 100):
            raise UsageError(
                f"`2 <= rungs <= 10` and `1 < factor <= 100` must hold, but got (rungs={self.rungs}, "
                f"factor={self.factor})."
            )

    def start(self) -> Scheduler:
        """Begin a search."""
        return Scheduler(tuple(self.factor ** -float(k) for k in reversed(range(self.rungs))), 1 / self.factor)


schedulers = Registry("scheduler", {"full": "paretonas.loop.halving:Full", "asha": "paretonas.loop.halving:Halving"})

"""Gates: what may stop a trial between two stages of its evaluation.

    Limits    it is over a limit
    Screen    a cheap metric ranks it low among all that were proposed so far
    Halving   at this share of the training, others were better

Source of the screen: Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021. Source of asynchronous
successive halving: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, in the form that stops
a trial at once instead of pausing it for a later promotion.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import insort
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Stage
from paretonas.objective import Objective
from paretonas.registry import Registry
from paretonas.trial import Trial

schedulers = Registry(
    "scheduler", {"asha": "paretonas.loop.gates:SuccessiveHalving", "full": "paretonas.loop.gates:Full"}
)
screens = Registry(
    "screen",
    dict.fromkeys(
        ("gradient_norm", "jacobian_covariance", "macs", "params", "synflow"), "paretonas.loop.gates:ScreenOptions"
    ),
)


@dataclass(frozen=True)
class Objection:
    """Why a trial goes no further, and what strategies are told of it.

    Args:
        gate: Its name.
        reason: In words.
        reward: None: nothing.
    """

    gate: str
    reason: str
    reward: float | None


class Gate(ABC):
    """Judges trials; one gate serves one session of a search.

    Attributes:
        name: Of its own; a trial that it stops keeps it.
        metrics: Those that it judges by, beside what the objective needs.
    """

    name: ClassVar[str]
    metrics: tuple[str, ...] = ()

    @abstractmethod
    def objection(self, trial: Trial, stage: Stage) -> Objection | None:
        """Take in what a trial has after a stage; why it goes no further, if so."""

    def remembers(self, trial: Trial, stage: Stage) -> bool:
        """Whether those after it are judged by what it has there, so that it is stored before they are."""
        return False

    def recall(self, trial: Trial, stage: Stage) -> None:
        """Take in what was judged in an earlier session, so that those after it are judged as they would have been."""
        return


class Rung:
    """Values that trials have reached at one stage, and whether another one is among the best of them.

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

    def add(self, value: float) -> None:
        """Take in one more value."""
        insort(self._values, value)

    def admits(self, value: float) -> bool:
        """Take in one more value; whether it is among the best, of which there is always one."""
        self.add(value)
        best = max(1, math.floor(self._keep * len(self._values) + 1e-9))
        return value >= self._values[-best]


class Limits(Gate):
    """Stops what is over a limit of the objective; its reward is 0, so that strategies learn to avoid it."""

    name = "limits"

    def __init__(self, objective: Objective):
        self._objective = objective

    def objection(self, trial: Trial, stage: Stage) -> Objection | None:
        broken = self._objective.broken_limit(trial.metrics)
        return None if broken is None else Objection(self.name, f"over the limit {broken}", 0.0)


@dataclass(frozen=True)
class ScreenOptions:
    """Train a candidate only if the metric puts it among the best of all that were proposed so far.

    Args:
        keep: Share of the candidates that counts as the best.
        first: Screen only so many proposals, to begin from better ones; None: all.

    Raises:
        UsageError: A value out of range.
    """

    keep: float = 0.5
    first: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1 or (self.first is not None and not 1 <= self.first <= 1_000_000):
            raise UsageError(f"`0 < keep < 1` and `1 <= first <= 1000000` must hold, but got {self}.")


class Screen(Gate):
    """Stops what a cheap metric ranks low; of such a trial nothing was measured, and strategies are told no reward.

    Args:
        metric: More of it is said to be better; `paretonas proxies` shows whether it is.
        options: How strictly.
    """

    name = "screen"

    def __init__(self, metric: str, options: ScreenOptions):
        self._metric, self._options = metric, options
        self._rung, self.metrics = Rung(options.keep), (metric,)

    def objection(self, trial: Trial, stage: Stage) -> Objection | None:
        if not self.remembers(trial, stage) or self._rung.admits(value := trial.metrics[self._metric]):
            return None
        keep, number = 100 * self._options.keep, len(self._rung)
        reason = f"screened out: {self._metric} of {value:.4g} is not in the best {keep:g} % of {number}"
        return Objection(self.name, reason, None)

    def remembers(self, trial: Trial, stage: Stage) -> bool:
        is_screened = self._options.first is None or trial.number < self._options.first
        return is_screened and self._metric in stage.gives and self._metric in trial.metrics

    def recall(self, trial: Trial, stage: Stage) -> None:
        if self.remembers(trial, stage):
            self._rung.add(trial.metrics[self._metric])


@dataclass(frozen=True)
class Full:
    """Every candidate is trained to the end."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the full training after which trials are scored."""
        return (1.0,)

    @property
    def keep(self) -> float:
        """Share of the trials that goes on from one to the next."""
        return 1.0


@dataclass(frozen=True)
class SuccessiveHalving:
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

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the full training after which trials are scored, rising to 1."""
        return tuple(self.factor ** -float(k) for k in reversed(range(self.rungs)))

    @property
    def keep(self) -> float:
        """Share of the trials that goes on from one to the next."""
        return 1 / self.factor


def mean_share(shares: tuple[float, ...], keep: float) -> float:
    """What a trial is trained for on average, if just the share `keep` goes on from each stage.

    >>> mean_share((0.25, 0.5, 1.0), 0.5)
    0.5
    """
    parts = (later - earlier for earlier, later in pairwise((0.0, *shares)))
    return sum(part * keep**k for k, part in enumerate(parts))


class Halving(Gate):
    """Stops, at a share of the training, what is not among the best there; its reward is that of what it reached.

    Args:
        objective: Gives rewards.
        keep: Share of the trials at a stage that goes on.
    """

    name = "halving"

    def __init__(self, objective: Objective, keep: float):
        self._objective, self._keep = objective, keep
        self._rungs: dict[str, Rung] = {}

    def objection(self, trial: Trial, stage: Stage) -> Objection | None:
        if not self.remembers(trial, stage):
            return None
        reward = self._objective.reward_of(trial.metrics)
        if self._rung(stage).admits(reward):
            return None
        reason = f"stopped after {100 * (stage.share or 0):.0f} % of its training: others were better by then"
        return Objection(self.name, reason, reward)

    def remembers(self, trial: Trial, stage: Stage) -> bool:
        return stage.share is not None and stage.share < 1

    def recall(self, trial: Trial, stage: Stage) -> None:
        if self.remembers(trial, stage):
            self._rung(stage).add(self._objective.reward_of(trial.metrics))

    def _rung(self, stage: Stage) -> Rung:
        return self._rungs.setdefault(stage.name, Rung(self._keep))

"""What a search is after: the objective that scores a trial, its limits, and the goals that a strategy pursues."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paretonas.errors import TrainingError, UsageError
from paretonas.objective.metric import Metric, latencies, metric
from paretonas.objective.reward import SOFT, Reward
from paretonas.registry import blamed
from paretonas.space import Spec
from paretonas.trial import Metrics, State, Trial


@dataclass(frozen=True)
class Limit:
    """A bound that no architecture may exceed: `metric <= bound`. It is kept by metrics that are known before training.

    Args:
        metric: One that is to be small.
        bound: Positive.

    Raises:
        UnknownNameError: The metric is not declared.
        UsageError: It is to be large, or known only after training; or the bound is not positive.

    >>> Limit.parse("params<=2e6").is_kept({"params": 3e6})
    False
    """

    metric: str
    bound: float

    def __post_init__(self) -> None:
        declared = metric(self.metric)
        if declared.is_rising or declared.known == "training":
            raise UsageError(
                "A limit bounds a metric that is to be small and is known before training, such as params, macs or "
                f"latency_ms, but got {self.metric!r}."
            )
        if not 0 < self.bound < math.inf:
            raise UsageError(f"A limit has a positive bound, but got {self.bound} for {self.metric!r}.")

    @classmethod
    def parse(cls, text: str) -> Limit:
        """From `metric<=bound`.

        Raises:
            UsageError: Not of that form.
        """
        name, sign, bound = text.partition("<=")
        try:
            value = float(bound)
        except ValueError:
            value = math.nan
        if not sign or not name.strip() or not value > 0:
            raise UsageError(
                f"A limit is written metric<=bound with a positive bound ('params<=2e6'), but got {text!r}."
            )
        return cls(name.strip(), value)

    def is_kept(self, metrics: Metrics) -> bool:
        """Whether the metric is unknown as yet or within the bound."""
        return self.metric not in metrics or metrics[self.metric] <= self.bound

    def __str__(self) -> str:
        return f"{self.metric}<={self.bound:g}"


@dataclass(frozen=True)
class Objective:
    """The scalar that scores a trial, and the limits.

    Args:
        quality: The metric that training is about.
        reward: From it and the latencies.
        targets: Latencies to aim at in milliseconds, by the names of the metrics (`latency_ms.phone`, or
            `estimated_ms.phone` where a search estimates them).
        limits: Exceeding one prunes a trial, with reward 0.

    Raises:
        UnknownNameError: A metric that is not declared.
        UsageError: A quality that is no result of training, a reward of the other direction, a target that is not
            positive, or one that the reward would not look at.
    """

    quality: str = "accuracy"
    reward: Reward = SOFT
    targets: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        quality, reward = metric(self.quality), type(self.reward).__name__
        if quality.known != "training":
            raise UsageError(f"A quality is a metric of training, but {self.quality!r} is known before.")
        if quality.is_rising != self.reward.is_rising:
            wanted, other = ("rises", "inverse-square") if self.reward.is_rising else ("falls", "soft, hard or power")
            raise UsageError(
                f"The reward {reward} is of a quality that {wanted}, which {self.quality!r} does not: choose {other}."
            )
        if self.targets and not self.reward.is_aimed:
            raise UsageError(f"The reward {reward} has no target latency, but got {dict(self.targets)}.")
        for name, target in self.targets.items():
            if not latencies([name]) or not 0 < target < math.inf:
                raise UsageError(f"A target latency is a positive number of milliseconds, but got {name} {target}.")

    def reward_of(self, metrics: Metrics) -> float:
        """The reward of a fully evaluated architecture.

        Raises:
            TrainingError: It is no finite number of 0 or more.
        """
        quality, ratios = metrics[self.quality], [metrics[name] / target for name, target in self.targets.items()]
        with blamed(f"{self.reward} gives no reward for the {self.quality} {quality}", TrainingError):
            reward = float(self.reward.value(quality, ratios))
        if not 0 <= reward < math.inf:
            raise TrainingError(
                f"A reward is a finite number of 0 or more, but {self.reward} gives {reward} for the {self.quality} "
                f"{quality}."
            )
        return reward

    def broken_limit(self, metrics: Metrics) -> Limit | None:
        """The first limit that `metrics` exceed."""
        return next((limit for limit in self.limits if not limit.is_kept(metrics)), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that reward and limits need."""
        return (self.quality, *self.targets, *(limit.metric for limit in self.limits))


@dataclass(frozen=True)
class Goals:
    """What a strategy pursues: metrics, each the better way round, within limits.

    Args:
        metrics: Names; `reward` is the scalar of the search's objective.
        limits: A trial that breaks one is not trained.
        costs: From a spec to the metrics that are known without measuring it; None: nobody knows them.

    Raises:
        UnknownNameError: A metric that is not declared.
        UsageError: No metric, or one named twice.

    >>> Goals.parse("accuracy+latency_ms").metrics
    ('accuracy', 'latency_ms')
    """

    metrics: tuple[str, ...] = ("reward",)
    limits: tuple[Limit, ...] = ()
    costs: Callable[[Spec], Metrics] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.metrics or "" in self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise UsageError(f"Goals are different metrics with + between them, but got {'+'.join(self.metrics)!r}.")
        self.declared  # noqa: B018 - what is not declared is refused

    @classmethod
    def parse(cls, text: str, limits: tuple[Limit, ...] = ()) -> Goals:
        """From `accuracy+latency_ms`.

        Raises:
            UsageError: Not of that form.
        """
        return cls(tuple(part.strip() for part in text.split("+")), limits)

    @property
    def declared(self) -> tuple[Metric, ...]:
        """The declarations of the metrics, in their order."""
        return tuple(map(metric, self.metrics))

    def values(self, trial: Trial) -> tuple[float, ...] | None:
        """What the trial reached, all to be maximized; None if it failed, or a number is missing.

        A trial that was stopped early has what it reached by then; one that broke a limit has the reward 0.
        """
        if trial.state not in (State.COMPLETE, State.PRUNED):
            return None
        reached = {**trial.metrics, "reward": trial.reward}
        values = [reached.get(name) for name in self.metrics]
        if any(value is None or not math.isfinite(value) for value in values):
            return None
        return tuple(one.at_best(float(value or 0)) for one, value in zip(self.declared, values, strict=True))

    def violation(self, trial: Trial) -> float:
        """By which share the trial exceeds the limits, summed; infinite if it has no values for another reason."""
        exceeded = [
            trial.metrics[limit.metric] / limit.bound - 1 for limit in self.limits if limit.metric in trial.metrics
        ]
        total = sum(max(0.0, share) for share in exceeded)
        if total == 0.0 and self.values(trial) is None:
            return math.inf
        return total

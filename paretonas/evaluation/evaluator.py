"""The contract of an evaluator: the stages in which an architecture becomes its metrics."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from paretonas.errors import TrainingError, UsageError
from paretonas.space import Spec
from paretonas.trial import Metrics

INLINE, WORKERS = "inline", "workers"
"""Lanes: in the loop itself, for what takes no time and runs no code of networks; and where trainings run."""


def device_lane(name: str) -> str:
    """The lane of a device.

    >>> device_lane("phone")
    'device:phone'
    """
    return f"device:{name}"


@dataclass(frozen=True)
class Evidence:
    """What a stage found.

    Args:
        metrics: Declared ones.
        id: Of the stored evaluation behind them; None: nothing is stored, as they can be had again for nothing.

    Raises:
        TrainingError: One is no finite number.
    """

    metrics: Metrics
    id: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if not (isinstance(value, int | float) and math.isfinite(value)):
                raise TrainingError(f"A metric is a finite number, but {name} is {value!r}.")


@dataclass(frozen=True)
class Call:
    """Work for a lane: a function that an importable module has, and arguments that pickle."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Stage:
    """One step of an architecture's evaluation.

    Args:
        name: Of its own; trials keep it.
        lane: Where it runs.
        gives: Names of the metrics that it adds.
        known: What was paid for before, looked up under the spec; None: nothing.
        call: The work.
        keep: What is kept of the call's result.
        share: Of the full training, where it is one that may be stopped early; else None.
        done: How much of the call of a spec is done while it runs, from 0 to 1; None: that cannot be told here. Is
            asked now and then, in another thread.
    """

    name: str
    lane: str
    gives: tuple[str, ...]
    known: Callable[[Spec], Evidence | None]
    call: Callable[[Spec], Call]
    keep: Callable[[Spec, Any], Evidence]
    share: float | None = None
    done: Callable[[Spec], float | None] = lambda spec: None

    def evidence(self, spec: Spec) -> Evidence:
        """What is known, or is found here and now."""
        known = self.known(spec)
        if known is not None:
            return known
        call = self.call(spec)
        return self.keep(spec, call.function(*call.arguments))


@dataclass(frozen=True)
class About:
    """What an evaluator says of itself.

    Args:
        lines: For the beginning of a search: where it measures, and what it learns from.
        digest: Of what candidates are judged on; a search does not go on with another.
        measured_on: Where latencies come from, in words.
    """

    lines: tuple[str, ...]
    digest: str
    measured_on: str


@dataclass(frozen=True)
class Phase:
    """Work before the first trial.

    Args:
        what: In words, as in "training the supernet".
        seconds: It will take about, on one thread; None: nobody knows.
    """

    what: str
    seconds: float | None


class Listens(Protocol):
    """Who is told what an evaluator does before a search begins."""

    def note(self, text: str) -> None:
        """A line of text."""
        ...

    def counting(self, what: str, done: int, total: int) -> None:
        """How much of something is done."""
        ...


class Evaluator(ABC):
    """Gives architectures their metrics, stage by stage. What was paid for before costs nothing.

    Attributes:
        quality: The metric that training is about.
        is_buildable: Whether its specs are networks that can be trained and exported.
    """

    quality: str
    is_buildable: bool = True

    @abstractmethod
    def prepare(self, listener: Listens) -> None:
        """What has to be there before a search is recorded: data, calibrations. Interrupted, it goes on from there."""

    def phases(self) -> tuple[Phase, ...]:
        """What `begin` has yet to do."""
        return ()

    def begin(self, listener: Listens) -> None:
        """What is paid for once, after the search was recorded and before its first trial; likewise."""
        return

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The steps, in their order; cheap ones come first. Of what `prepare` and `begin` found alone."""

    @abstractmethod
    def about(self) -> About:
        """What is evaluated, and on what."""

    def usual_ms(self, name: str, listener: Listens) -> float:
        """What to aim at where nothing was given, for the latency `name`.

        Raises:
            UsageError: It gives no such latency.
        """
        raise UsageError(f"There is no {name} to aim at.")

    def seconds_a_trial(self) -> float | None:
        """An estimate; None if training diverges at once."""
        return 0.0

    def forget(self, spec: Spec) -> None:
        """A trial of this spec has ended: what its next stages would have gone on from may go."""
        return

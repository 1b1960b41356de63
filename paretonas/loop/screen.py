"""Candidates that are not worth a training, going by a metric of the untrained network.

Source: Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.loop.halving import Rung
from paretonas.registry import Registry
from paretonas.trial import Trial

COSTS = ("params", "macs")
ZERO_COST = ("synflow", "jacobian_covariance", "gradient_norm")
"""Of these metrics more is said to be better; `paretonas proxies` shows whether it is."""


@dataclass(frozen=True)
class Screen:
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
        if not 0 < self.keep < 1 or (self.first is not None and self.first < 1):
            raise UsageError(f"`0 < keep < 1` and `first >= 1` must hold, but got {self}.")


screens = Registry("screen", {metric: "paretonas.loop.screen:Screen" for metric in (*ZERO_COST, *COSTS)})


class Screening:
    """One search's screen.

    Args:
        text: A metric with the screen's options, such as `synflow:keep=0.3`.
        trials: What the search has already, by number.

    Raises:
        UsageError: Not such a text.
    """

    def __init__(self, text: str, trials: Iterable[Trial] = ()):
        self.metric = text.partition(":")[0].strip()
        self._options: Screen = screens.create(text)
        self._rung = Rung(self._options.keep)
        for trial in trials:
            self.objection(trial)

    @property
    def is_zero_cost(self) -> bool:
        """Whether the metric takes an untrained network, and not only its costs."""
        return self.metric in ZERO_COST

    def objection(self, trial: Trial) -> str | None:
        """Why the trial is not trained, if it is not; what has no such metric passes."""
        options, value = self._options, trial.metrics.get(self.metric)
        if value is None or (options.first is not None and trial.number >= options.first):
            return None
        if self._rung.admits(value):
            return None
        return f"{self.metric} of {value:.4g} is not in the best {100 * options.keep:g} % of {len(self._rung)}"

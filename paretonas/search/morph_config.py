"""What a configuration says of a morph; see `config.py`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.objective import Limit
from paretonas.objective.metric import LATENCY
from paretonas.registry import Selection

MOST_STEPS, FEWEST_SAMPLES, MOST_SAMPLES = 20, 20, 500


@dataclass(frozen=True)
class MorphConfig:
    """How the widths of a network are fitted to a budget.

    Args:
        budget: Such as `macs<=28e6`, `params<=1e6` or `latency_ms<=5`; empty: what the network takes as it is.
        resource: What channels are weighed by: `macs`, `params`, `activations`, `roofline:machine=v100`, or `latency`,
            as estimated on the first device; None: what is bounded.
        steps: How often the network learns which channels it can spare.
        recipe: How.
        strength: Of the regularizer, in units of the network's first cost; None: found within the training.
        threshold: A channel of this strength or less is dead.
        grouping: Of layers that share a group: `max` or `l2`.
        samples: Networks that are measured to estimate latencies.
        multiple: Widths are multiples of this where the network's were: engines compute others more slowly.
        keep: Regular expressions; layers whose names one matches keep their widths.
        only: Regular expressions; where there are some, other layers keep their widths.

    Raises:
        UsageError: A value out of range, or an expression that is none.
    """

    budget: str = ""
    resource: Selection | None = None
    steps: int = 1
    recipe: Selection = Selection("morph")
    strength: float | None = None
    threshold: float = 0.01
    grouping: str = "max"
    samples: int = 30
    multiple: int = 8
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.budget:
            name = Limit.parse(self.budget).metric
            if name not in ("macs", "params") and name.partition(".")[0] != LATENCY.name:
                raise UsageError(
                    "A morph's budget is an upper bound of macs, params or a latency_ms, such as 'macs<=28e6', but got "
                    f"{self.budget!r}."
                )
        if not ((self.strength is None or 0 < self.strength < math.inf) and 0 <= self.threshold < 1):
            raise UsageError(
                f"`0 < strength` and `0 <= threshold < 1` must hold, but got (strength={self.strength}, "
                f"threshold={self.threshold})."
            )
        if not (1 <= self.steps <= MOST_STEPS and FEWEST_SAMPLES <= self.samples <= MOST_SAMPLES):
            raise UsageError(
                f"`1 <= steps <= {MOST_STEPS}` and `{FEWEST_SAMPLES} <= samples <= {MOST_SAMPLES}` must hold, but got "
                f"(steps={self.steps}, samples={self.samples})."
            )
        if not 1 <= self.multiple <= 256:
            raise UsageError(f"`1 <= multiple <= 256` must hold, but got (multiple={self.multiple}).")
        for expression in (*self.keep, *self.only):
            try:
                re.compile(expression)
            except re.error as error:
                raise UsageError(f"Layers are named by regular expressions, but {expression!r}: {error}.") from None

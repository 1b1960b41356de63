"""A predictor of latencies for one's own device, of a space and an interface, without a search.

Networks of the space are measured as candidates are, under the same keys, so that a search which estimates latencies
(`--estimate`) of the same space, device and interface finds them, and its predictor, in the store.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from paretonas.device import Device
from paretonas.evaluation.estimates import Estimating, EstimatingEvaluator
from paretonas.evaluation.evaluator import About, Evaluator, Listens, Stage
from paretonas.evaluation.fitting import Fitting
from paretonas.evaluation.keys import Cache
from paretonas.evaluation.own_table import OwnTable
from paretonas.evaluation.timed import Timed
from paretonas.network.cost import spec_cost
from paretonas.space import Interface, SearchSpace, Spec, spec_from_json


class TimedEvaluator(Evaluator):
    """Measures latencies, and nothing else.

    Args:
        timed: How.
    """

    quality = "latency_ms"

    def __init__(self, timed: Timed):
        self._timed = timed

    def prepare(self, listener: Listens) -> None:
        self._timed.calibrated()

    def stages(self) -> tuple[Stage, ...]:
        return (self._timed.stage(),)

    def about(self) -> About:
        return About((), "", "")

    def usual_ms(self, name: str, listener: Listens) -> float:
        return self._timed.calibrated() * 1e3

    def seconds_a_trial(self) -> float | None:
        return None

    def forget(self, spec: Spec) -> None:
        """There is nothing to forget."""


@dataclass(frozen=True)
class ProfileOptions:
    """What a predictor is fitted for, and on how much.

    Args:
        space: Of the networks.
        interface: What they are fed and give.
        samples: Networks that are measured.
        table: Of a user's own measurements, instead.
    """

    space: SearchSpace
    interface: Interface
    samples: int = 100
    table: OwnTable | None = None

    @property
    def networks(self) -> int:
        """That are measured, or all of the table."""
        return self.samples if self.table is None else len(self.table.samples)


def profile_space(device: Device, options: ProfileOptions, cache: Cache, folder: Path, listener: Listens) -> Fitting:
    """Measure networks that are far apart, fit a predictor, and store both.

    Args:
        device: Whose latencies are to be estimated.
        options: Of which networks.
        cache: Where evaluations are kept.
        folder: For files that are needed for a moment.
        listener: Is told how far it is.

    Raises:
        MeasureError: Fewer than 10 networks could be measured.
    """
    inner = TimedEvaluator(Timed(device, options.interface, cache, folder))
    estimating = Estimating(lambda: options.space, {device.name: options.networks})
    evaluator = EstimatingEvaluator(inner, options.interface, (device,), estimating, cache)
    return evaluator.fit(device, listener, options.table)


def tau_of_macs(fitting: Fitting, interface: Interface) -> float:
    """Kendall's tau of multiply-accumulates and measured latencies: what counting alone would tell."""
    specs = [spec_from_json(sample.spec) for sample in fitting.samples]
    macs = [spec_cost(spec, spec.with_state(interface)).macs for spec in specs]
    tau = stats.kendalltau(macs, [sample.latency_ms for sample in fitting.samples]).statistic
    return 0.0 if math.isnan(tau) else float(tau)

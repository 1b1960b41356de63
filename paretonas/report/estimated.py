"""Latencies that a predictor says: how good it is, and how near it came to what finalists were measured at."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.errors import StoreError
from paretonas.objective import metric
from paretonas.report.aims import is_estimate, measured, measured_finally
from paretonas.report.searched import Searched
from paretonas.store import Store
from paretonas.trial import Trial


@dataclass(frozen=True)
class Compared:
    """A finalist's estimated latency beside its own measured one, in milliseconds."""

    trial: int
    estimated_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Of the estimate, as a share of what was measured."""
        return self.estimated_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Estimates:
    """The estimates of a search on one device.

    Args:
        title: Of the metric.
        networks: Measured ones that the predictor was fitted on.
        error: Its mean error on those that were held out, as a share.
        within: Share of them with an error of 5 % at most.
        rank: Kendall's tau of their estimates and latencies.
        trials: Estimated ones.
        spread: Median of half their intervals, as a share of the estimate.
        finalists: Those that were measured since.
    """

    title: str
    networks: int
    error: float
    within: float
    rank: float
    trials: int
    spread: float
    finalists: tuple[Compared, ...]


def estimates_of(searched: Searched, store: Store) -> list[Estimates]:
    """One for each device of a search whose latencies are estimated there.

    Raises:
        StoreError: A damaged row.
    """
    found = []
    for name in filter(is_estimate, searched.aims.latencies):
        trials = [trial for trial in searched.trials if name in trial.metrics]
        fitting = next((one for trial in trials if (one := _fitting(store, trial, name)) is not None), None)
        if fitting is not None:
            found.append(_estimates(name, trials, fitting))
    return found


def _fitting(store: Store, trial: Trial, name: str) -> Mapping[str, Any] | None:
    """What is stored of the predictor behind an estimate."""
    id = trial.evidence.get(name)
    estimate = None if id is None else store.evaluation(id)
    fitting = None if estimate is None else store.evaluation(str(estimate[1].get("predictor")))
    return None if fitting is None else fitting[2]


def _estimates(name: str, trials: Sequence[Trial], fitting: Mapping[str, Any]) -> Estimates:
    spread, own = name.replace("_ms", "_spread", 1), measured_finally(name)
    compared = tuple(
        Compared(trial.number, trial.metrics[name], trial.metrics[own]) for trial in trials if own in trial.metrics
    )
    try:
        error, within, rank = (float(fitting[key]) for key in ("error", "within", "rank"))
        networks = len(fitting["samples"])
    except (KeyError, TypeError, ValueError) as missing:
        raise StoreError(f"A stored predictor holds its networks and its errors, but lacks {missing}.") from None
    spreads = [trial.metrics[spread] for trial in trials if spread in trial.metrics]
    median = statistics.median(spreads) if spreads else 0.0
    return Estimates(metric(name).title, networks, error, within, rank, len(trials), median, compared)


def timed_names(names: Sequence[str]) -> list[str]:
    """The measured latencies of the devices of `names`: where a search estimates, those of finalists."""
    return [measured(name) for name in names]

"""Whether a cheap metric foretells the quality of networks: rank correlations, with what chance leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from paretonas.errors import UsageError

FEWEST = 5
RESAMPLES = 1000


@dataclass(frozen=True)
class Correlation:
    """How the ranks of a metric and of how good networks are agree, from -1 to 1.

    Args:
        spearman: Of the ranks.
        low: Lower end of its 95 % interval, from resampled networks.
        high: Upper end.
        kendall: Pairs ordered alike minus pairs ordered differently, as a share.
        n: How many networks.
    """

    spearman: float
    low: float
    high: float
    kendall: float
    n: int

    @property
    def verdict(self) -> str:
        """In words."""
        if self.low <= 0 <= self.high:
            return "no evidence that it tells anything"
        strength = "strong" if abs(self.spearman) >= 0.7 else "fair" if abs(self.spearman) >= 0.4 else "weak"
        return f"{strength}, {'more' if self.spearman > 0 else 'less'} is better"


def rank_correlation(values: Sequence[float], merits: Sequence[float]) -> Correlation:
    """Spearman's and Kendall's rank correlation of the same networks' numbers; 0 where all of either are equal.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, for the interval: percentiles of the
    correlations of networks drawn with replacement.

    Args:
        values: Of the cheap metric, one a network.
        merits: How good each network is, the larger the better: `Metric.at_best` of its quality.

    Raises:
        UsageError: Fewer than five networks.

    >>> correlation = rank_correlation([1, 2, 3, 4, 6, 5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    >>> round(correlation.spearman, 3), round(correlation.kendall, 3)
    (0.943, 0.867)
    """
    a, b = np.asarray(values, dtype=float), np.asarray(merits, dtype=float)
    if len(a) < FEWEST:
        raise UsageError(f"Rank correlations take {FEWEST} networks or more, but there are {len(a)}.")
    resampled = stats.bootstrap(
        (a, b),
        _spearman,
        n_resamples=RESAMPLES,
        vectorized=True,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = resampled.confidence_interval
    return Correlation(float(_spearman(a, b)), float(low), float(high), _kendall(a, b), len(a))


def _spearman(a: Any, b: Any, axis: int = -1) -> Any:
    """Pearson's correlation of the ranks, of all samples at once; scipy's own takes one at a time."""
    ranks = [stats.rankdata(values, axis=axis) - (np.shape(values)[axis] + 1) / 2 for values in (a, b)]  # of mean 0
    products = [np.sum(x * y, axis=axis) for x, y in (ranks, (ranks[0], ranks[0]), (ranks[1], ranks[1]))]
    deviation = np.sqrt(products[1] * products[2])
    return np.where(deviation > 0, products[0] / np.where(deviation > 0, deviation, 1.0), 0.0)


def _kendall(a: Any, b: Any) -> float:
    is_constant = any((values == values[0]).all() for values in (a, b))
    return 0.0 if is_constant else float(stats.kendalltau(a, b).statistic)

"""Whether a cheap metric foretells accuracy: rank correlations, with what chance leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paretonas.errors import UsageError

FEWEST = 5
RESAMPLES = 1000


@dataclass(frozen=True)
class Correlation:
    """How the ranks of a metric and of accuracies agree, from -1 to 1.

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


def rank_correlation(metric: Sequence[float], accuracy: Sequence[float]) -> Correlation:
    """Spearman's and Kendall's rank correlation of the same networks' numbers.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, for the interval.

    Args:
        metric: Of each network.
        accuracy: Of each network.

    Raises:
        UsageError: Fewer than five networks.

    >>> found = rank_correlation([1, 2, 3, 4, 6, 5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    >>> round(found.spearman, 3), round(found.kendall, 3)
    (0.943, 0.867)
    """
    a, b = np.asarray(metric, dtype=float), np.asarray(accuracy, dtype=float)
    if len(a) < FEWEST:
        raise UsageError(f"Rank correlations take {FEWEST} networks or more, but there are {len(a)}.")
    samples = np.random.default_rng(0).integers(len(a), size=(RESAMPLES, len(a)))
    low, high = np.quantile(_spearman(a[samples], b[samples]), [0.025, 0.975])
    kendall = 0.0 if _is_constant(a) or _is_constant(b) else float(stats.kendalltau(a, b).statistic)
    return Correlation(float(_spearman(a, b)), float(low), float(high), kendall, len(a))


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of (..., n) and (..., n), (...); 0 where all values are equal."""
    x, y = (ranks - ranks.mean(-1, keepdims=True) for ranks in (stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)))
    spread = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.divide((x * y).sum(-1), spread, out=np.zeros(spread.shape), where=spread > 0)


def _is_constant(values: NDArray[np.float64]) -> bool:
    return bool((values == values[0]).all())

"""Whether scores by shared weights rank networks: held against trainings, and against counting MACs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

RESAMPLES = 1000


@dataclass(frozen=True)
class Trust:
    """How a supernet ranks networks that were trained alone too, beside what counting MACs gives.

    Args:
        tau: Kendall's rank correlation of scores and qualities, from -1 to 1.
        low: Lower end of its 95 % interval, from resampled networks.
        high: Upper end.
        tau_macs: Kendall's rank correlation of MACs and qualities.
        lost: Quality that the best of the three best by score has less than the best of all.
        networks: How many.
    """

    tau: float
    low: float
    high: float
    tau_macs: float
    lost: float
    networks: int

    @property
    def is_earned(self) -> bool:
        """Whether the supernet tells more than MACs do."""
        return self.tau > max(self.tau_macs, 0.0)

    def __str__(self) -> str:
        return (
            f"Of {self.networks} networks that were trained alone too, the supernet ranks with a tau of {self.tau:.2f} "
            f"({self.low:.2f} to {self.high:.2f}), MACs with {self.tau_macs:.2f}; the best of its first three is "
            f"{100 * self.lost:.2f} points below the best of all"
        )


def trust(scores: Sequence[float], qualities: Sequence[float], macs: Sequence[float]) -> Trust:
    """How scores, and MACs, rank networks.

    Args:
        scores: By the supernet, larger is better.
        qualities: Of the same networks trained alone, larger is better.
        macs: Theirs.

    >>> found = trust([0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.6, 0.8, 0.7, 0.9], [1.0, 3.0, 2.0, 5.0, 4.0])
    >>> round(found.tau, 3), round(found.tau_macs, 3), found.lost
    (0.8, 0.4, 0.0)
    """
    rng, everyone = Random(0), range(len(scores))
    draws = [[rng.choice(everyone) for _ in everyone] for _ in range(RESAMPLES)]
    taus = [_kendall([scores[i] for i in drawn], [qualities[i] for i in drawn]) for drawn in draws]
    cuts = statistics.quantiles(taus, n=40)
    first = sorted(everyone, key=lambda i: -scores[i])[:3]
    lost = max(qualities) - max(qualities[i] for i in first)
    return Trust(_kendall(scores, qualities), cuts[0], cuts[-1], _kendall(macs, qualities), lost, len(scores))


def _kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b; 0 where all of either are equal."""
    from scipy import stats

    found = float(stats.kendalltau(a, b).statistic) if len(set(a)) > 1 and len(set(b)) > 1 else 0.0
    return found

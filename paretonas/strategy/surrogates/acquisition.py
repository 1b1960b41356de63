"""What one more evaluation is expected to gain, from the mean and standard deviation of its values.

Source: Jones et al., Efficient Global Optimization of Expensive Black-Box Functions, Journal of Global Optimization 13,
1998; Emmerich et al., Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian Random Field
Metamodels, IEEE Transactions on Evolutionary Computation 10(4), 2006.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from paretonas.strategy.surrogates.gaussian import Floats


def expected_improvement(mean: Floats, deviation: Floats, threshold: float) -> Floats:
    """`E[max(0, value - threshold)]` of normal values.

    Args:
        mean: (n,).
        deviation: (n,) standard deviations, > 0.
        threshold: What is to be beaten.

    >>> expected_improvement(np.array([1.0]), np.array([1e-9]), 0.25).round(6).tolist()
    [0.75]
    """
    z = (mean - threshold) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    improvements: Floats = deviation * (z * special.ndtr(z) + density)
    return improvements


def hypervolume_improvement(means: Floats, deviations: Floats, points: Floats, reference: Floats) -> Floats:
    """Expected gain of the front's hypervolume from one more point, whose goals are independent normal values.

    Along the last goal, the points cut the space into slabs. In each, the gain is a gain of length, `EI(bottom) -
    EI(top)`, times the gain of the other goals' hypervolume over the points that reach above the slab; expectations of
    independent factors multiply. Exact.

    Args:
        means: (n, m).
        deviations: (n, m), > 0.
        points: (k, m) the front, to be maximized.
        reference: (m,) the worst corner.

    Returns:
        (n,).
    """
    points = points[(points > reference).all(axis=1)]
    if len(reference) == 1:
        return expected_improvement(means[:, 0], deviations[:, 0], max([float(reference[0]), *points[:, 0]]))
    levels = np.unique([reference[-1], *points[:, -1]])
    gains = [expected_improvement(means[:, -1], deviations[:, -1], level) for level in levels]
    gains.append(np.zeros(len(means)))
    total = np.zeros(len(means))
    for level, gain, above in zip(levels, gains, gains[1:], strict=False):
        inner = points[points[:, -1] > level, :-1]
        total += (gain - above) * hypervolume_improvement(means[:, :-1], deviations[:, :-1], inner, reference[:-1])
    return total

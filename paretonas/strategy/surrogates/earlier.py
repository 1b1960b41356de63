"""How far to believe what earlier searches foretell of a new one, measured under other conditions.

Source: ours. That a process over what an earlier search leaves unexplained needs few evaluations: Golovin et al.,
Google Vizier: A Service for Black-Box Optimization, KDD 2017. That earlier models are weighted by how well they rank
what is new: Feurer et al., Scalable Meta-Learning for Bayesian Optimization, arXiv 1802.02219, 2018. Differs: a rank
correlation takes the place of their bootstrapped ranking loss.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from paretonas.strategy.surrogates.gaussian import Floats

DOUBT = 10
"""As many evaluations weigh as much as the trust that an earlier search begins with."""


def weights(foretold: Floats, values: Floats) -> Floats:
    """What each earlier search's word counts for in the sum that is expected of a new architecture.

    With Kendall's rank correlation `tau`, trust is `(DOUBT + n * tau) / (DOUBT + n)`: 1 at first, and never below 0.
    Of several, each has its share of the trust, times its trust: one that is useless takes nothing from a good one.

    Args:
        foretold: (n, s), what s earlier searches foretold of n architectures.
        values: (n,), what came out; larger is better.

    Returns:
        (s,).

    >>> weights(np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]]), np.arange(4.0)).round(2).tolist()
    [0.7, 0.13]
    """
    n = len(values)
    taus = [stats.kendalltau(column, values).statistic if n > 1 else 0.0 for column in foretold.T]
    trusts = np.maximum(0.0, (DOUBT + n * np.nan_to_num(taus)) / (DOUBT + n))
    found: Floats = trusts**2 / max(float(trusts.sum()), 1e-12)
    return found

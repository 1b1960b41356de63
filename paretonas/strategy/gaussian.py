"""A Gaussian process over categorical decisions, for strategies that model what they were told.

The covariance of two architectures falls with the number of decisions in which they differ (Hamming distance), so that
every decision and every combination of decisions is a feature, the larger combinations weighted down.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2 and 5. Kernels on
categorical choices: Ru et al., Bayesian Optimisation over Multiple Continuous and Categorical Inputs, ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special, stats

Floats = NDArray[np.float64]

LENGTHS = (0.7, 2.0, 6.0, 20.0)
"""Numbers of differing decisions at which the covariance has fallen to 1/e."""
NOISES = (1e-3, 1e-2, 0.05, 0.2)
"""Variances of what an evaluation gives beside the architecture's own value, in shares of the signal's."""


@dataclass(frozen=True)
class Kernel:
    """A Gaussian process's hyper-parameters.

    Args:
        length: See `LENGTHS`.
        noise: See `NOISES`.
    """

    length: float
    noise: float

    def covariance(self, a: Floats, b: Floats) -> Floats:
        """`exp(-distance / length)` of every pair.

        Args:
            a: (n, k) one-hot rows of `one_hot`.
            b: (m, k).

        Returns:
            (n, m).
        """
        decisions = a[0].sum()
        found: Floats = np.exp((a @ b.T - decisions) / self.length)
        return found


def one_hot(choices: Sequence[Sequence[int]], sizes: Sequence[int]) -> Floats:
    """(n, sum of sizes): a one for each choice.

    >>> one_hot([[1, 0]], [2, 3]).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    indices = np.asarray(choices, dtype=np.intp).reshape(-1, len(sizes))
    found = np.zeros((len(indices), sum(sizes)))
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    found[np.arange(len(indices))[:, None], indices + offsets] = 1.0
    return found


def normal_scores(values: Floats) -> Floats:
    """Ranks as quantiles of a normal distribution; equal values get equal scores. Larger values, larger scores.

    Accuracies lie close together at the top and far apart at the bottom; by rank, a failure pulls no harder than a fair
    network.

    >>> normal_scores(np.array([0.1, 0.9, 0.91])).round(2).tolist()
    [-0.97, 0.0, 0.97]
    """
    scores: Floats = special.ndtri((stats.rankdata(values) - 0.5) / len(values))
    return scores


def fit_kernel(x: Floats, y: Floats) -> tuple[float, Kernel]:
    """The kernel of the grid under which the values are likeliest, with the best scale for each.

    Args:
        x: (n, k) one-hot.
        y: (n,) with mean 0.

    Returns:
        The logarithm of that likelihood, but for a constant, and the kernel.
    """
    best, found = -math.inf, Kernel(LENGTHS[0], NOISES[-1])
    for length in LENGTHS:
        values, vectors = linalg.eigh(Kernel(length, 0.0).covariance(x, x))
        values, projected = np.maximum(values, 0.0), (vectors.T @ y) ** 2
        for noise in NOISES:
            spectrum = values + noise
            likelihood = -0.5 * (len(y) * math.log((projected / spectrum).mean() + 1e-12) + np.log(spectrum).sum())
            if likelihood > best:
                best, found = likelihood, Kernel(length, noise)
    return best, found


class Posterior:
    """What a Gaussian process thinks after it has seen values.

    Args:
        kernel: Its covariance.
        x: (n, k) one-hot, what was seen.
        y: (n,) with mean 0.
        pending: (p, k) one-hot, what was asked for and not told: believed to come out as expected, so that nothing but
            the uncertainty beside it shrinks.
    """

    def __init__(self, kernel: Kernel, x: Floats, y: Floats, pending: Floats):
        self._kernel, self._seen = kernel, np.concatenate([x, pending])
        noise = kernel.noise * np.eye(len(self._seen))
        self._lower = linalg.cholesky(kernel.covariance(self._seen, self._seen) + noise, lower=True)
        lower = self._lower[: len(x), : len(x)]  # the factor of what was seen alone
        half = linalg.solve_triangular(lower, y, lower=True)
        self._scale = max(float(half @ half) / len(y), 1e-12)  # values may all be equal
        self._weights = linalg.solve_triangular(lower, half, lower=True, trans=1)
        self._x = x

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the architectures' own values.

        Args:
            x: (m, k) one-hot.

        Returns:
            Two arrays (m,).
        """
        covariance = self._kernel.covariance(x, self._seen)  # (m, n + p)
        mean: Floats = covariance[:, : len(self._x)] @ self._weights
        half = linalg.solve_triangular(self._lower, covariance.T, lower=True)
        variance = self._scale * np.maximum(1.0 - (half * half).sum(0), 1e-9)
        return mean, np.sqrt(variance)

"""A Gaussian process over categorical decisions, for strategies that model what they were told.

The covariance of two architectures falls with the number of decisions in which they differ (Hamming distance), so that
every decision and every combination of decisions is a feature, the larger combinations weighted down. It falls further
with the number of choices in which they differ wherever these are made: what a convolution does at one place tells
something of what it does at another.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2 and 5. Kernels on
categorical choices: Ru et al., Bayesian Optimisation over Multiple Continuous and Categorical Inputs, ICML 2020. The
factor for choices counted over decisions is ours.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, spatial, special, stats

Floats = NDArray[np.float64]

LENGTHS = (2.0, 6.0, 20.0, 60.0)
"""Numbers of differing decisions at which the covariance has fallen to 1/e."""
EXCHANGES = (0.7, 2.0, 6.0, 20.0, math.inf)
"""Numbers of choices exchanged for others at which it has fallen to 1/e; infinite: only their places matter."""
NOISES = (1e-3, 1e-2, 0.05, 0.2)
"""Variances of what an evaluation gives beside the architecture's own value, in shares of the signal's."""


@dataclass(frozen=True)
class Rows:
    """Architectures as the kernel sees them.

    Args:
        places: (n, k), a one for each decision's choice.
        counts: (n, c), how often each choice is made by decisions that offer the same.
    """

    places: Floats
    counts: Floats

    def distances(self, other: Rows) -> tuple[Floats, Floats]:
        """Decisions that differ, and choices that were exchanged for others, of every pair.

        Returns:
            Two arrays (n, m). Two decisions that swap their choices differ, and nothing was exchanged.
        """
        differing: Floats = self.places.sum(1)[:, None] - self.places @ other.places.T
        exchanged: Floats = spatial.distance.cdist(self.counts, other.counts, "cityblock") / 2
        return differing, exchanged

    def followed_by(self, other: Rows) -> Rows:
        """These and then the others."""
        return Rows(np.concatenate([self.places, other.places]), np.concatenate([self.counts, other.counts]))


def encode(choices: Sequence[Sequence[int]], offers: Sequence[Sequence[Hashable]]) -> Rows:
    """Rows of architectures.

    Args:
        choices: One index a decision, of n architectures.
        offers: The symbols of each decision's choices; equal ones are counted together, wherever they are chosen.

    >>> encode([[1, 0]], [("conv", "pool"), ("conv", "pool")]).counts.tolist()
    [[1.0, 1.0]]
    """
    places = one_hot(choices, [len(offer) for offer in offers])
    symbols = [symbol for offer in offers for symbol in offer]
    kinds = {symbol: kind for kind, symbol in enumerate(dict.fromkeys(symbols))}
    columns = np.zeros((len(symbols), len(kinds)))
    columns[np.arange(len(symbols)), [kinds[symbol] for symbol in symbols]] = 1.0
    return Rows(places, places @ columns)


@dataclass(frozen=True)
class Kernel:
    """A Gaussian process's hyper-parameters.

    Args:
        length: See `LENGTHS`.
        exchange: See `EXCHANGES`.
        noise: See `NOISES`.
    """

    length: float
    exchange: float
    noise: float

    def covariance(self, differing: Floats, exchanged: Floats) -> Floats:
        """`exp(-differing / length - exchanged / exchange)`, of distances as `Rows.distances` gives them."""
        similarities: Floats = np.exp(-differing / self.length - exchanged / self.exchange)
        return similarities


def one_hot(choices: Sequence[Sequence[int]], sizes: Sequence[int]) -> Floats:
    """(n, sum of sizes): a one for each choice.

    >>> one_hot([[1, 0]], [2, 3]).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    indices = np.asarray(choices, dtype=np.intp).reshape(-1, len(sizes))
    encoded = np.zeros((len(indices), sum(sizes)))
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    encoded[np.arange(len(indices))[:, None], indices + offsets] = 1.0
    return encoded


def normal_scores(values: Floats) -> Floats:
    """Ranks as quantiles of a normal distribution; equal values get equal scores. Larger values, larger scores.

    Accuracies lie close together at the top and far apart at the bottom; by rank, a failure pulls no harder than a fair
    network.

    >>> normal_scores(np.array([0.1, 0.9, 0.91])).round(2).tolist()
    [-0.97, 0.0, 0.97]
    """
    scores: Floats = special.ndtri((stats.rankdata(values) - 0.5) / len(values))
    return scores


def fit_kernel(x: Rows, y: Floats) -> Kernel:
    """The kernel of the grid under which the values are likeliest, with the best scale for each.

    Args:
        x: n architectures.
        y: (n,) with mean 0.
    """
    best, kernel = -math.inf, Kernel(LENGTHS[0], math.inf, NOISES[-1])
    distances, spread = x.distances(x), max(float(y @ y) / len(y), 1e-12)
    for length, exchange in product(LENGTHS, EXCHANGES):
        values, vectors = linalg.eigh(Kernel(length, exchange, 0.0).covariance(*distances))
        values, projected = np.maximum(values, 0.0), (vectors.T @ y) ** 2 / spread
        for noise in NOISES:
            spectrum = values + noise
            likelihood = -0.5 * (len(y) * math.log((projected / spectrum).mean() + 1e-12) + np.log(spectrum).sum())
            if likelihood > best:
                best, kernel = likelihood, Kernel(length, exchange, noise)
    return kernel


class Posterior:
    """What a Gaussian process thinks after it has seen values.

    Args:
        kernel: Its covariance.
        x: n architectures that were seen.
        y: (n,) with mean 0.
        pending: Those asked for and not told: believed to come out as expected, so that nothing but the uncertainty
            beside them shrinks.
    """

    def __init__(self, kernel: Kernel, x: Rows, y: Floats, pending: Rows):
        self._kernel, self._n, self._seen = kernel, len(y), x.followed_by(pending)
        covariance = kernel.covariance(*self._seen.distances(self._seen))
        self._lower = linalg.cholesky(covariance + kernel.noise * np.eye(len(covariance)), lower=True)
        lower = self._lower[: len(y), : len(y)]  # the factor of what was seen alone
        half = linalg.solve_triangular(lower, y, lower=True)
        self._scale = max(float(half @ half) / len(y), 1e-12)  # values may all be equal
        self._weights = linalg.solve_triangular(lower, half, lower=True, trans=1)

    def predict(self, x: Rows) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the values of m architectures.

        Returns:
            Two arrays (m,).
        """
        covariance = self._kernel.covariance(*x.distances(self._seen))  # (m, n + p)
        mean: Floats = covariance[:, : self._n] @ self._weights
        half = linalg.solve_triangular(self._lower, covariance.T, lower=True)
        variance = self._scale * np.maximum(1.0 - (half * half).sum(0), 1e-9)
        return mean, np.sqrt(variance)

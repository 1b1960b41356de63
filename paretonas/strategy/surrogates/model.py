"""A Gaussian process over what a strategy was told so far: what it predicts of others, and how uncertain it is.

What earlier searches foretell, measured under other conditions, is the mean of the process, as far as it is believed;
the process is of what they leave unexplained.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2 and 5. Which values
are kept, and when the kernel is fitted anew, is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paretonas.strategy.surrogates.earlier import weights
from paretonas.strategy.surrogates.gaussian import Floats, Kernel, Posterior, Rows, fit_kernel

Scale = Callable[[Floats], Floats]
Choices = Sequence[tuple[int, ...]]
"""Of n architectures."""

GROWTH = 1.1
"""The kernel is fitted anew each time there are this many times as many values."""
FEWEST = 2
"""Values that say something of others."""
FITTED = 300
"""Of so many at most."""


@dataclass(frozen=True)
class _View:
    """What the process sees of the first values, and how to come back to their scores.

    Args:
        used: Indices of the values that are taken in.
        left: What earlier searches leave unexplained of them, with mean 0.
        weights: (s,) of the earlier searches.
        centre: Added to what is predicted.
        spread: By which it is multiplied before.
    """

    used: NDArray[np.intp]
    left: Floats
    weights: Floats
    centre: float
    spread: float


class Model:
    """Values of architectures, and a Gaussian process that is fitted to them as they grow.

    Args:
        encoding: Choices to what the process sees.
        scale: Values to what is modelled, such as their ranks.
        most: Values that are taken in at most.
        earlier: Models of what earlier searches measured under other conditions, each of two values at least.
    """

    def __init__(self, encoding: Callable[[Choices], Rows], scale: Scale, most: int, earlier: Sequence[Model] = ()):
        self._encoding, self._scale, self._most = encoding, scale, most
        self._earlier = [model for model in earlier if len(model.choices) >= FEWEST]
        self.choices: list[tuple[int, ...]] = []
        self._values: list[float] = []
        self._fitted: tuple[int, Kernel] | None = None

    def add(self, choices: tuple[int, ...], value: float) -> None:
        """Take in one more."""
        self.choices.append(choices)
        self._values.append(value)

    @property
    def values(self) -> Floats:
        """(n,), in the order in which they came."""
        return np.array(self._values)

    @property
    def has_values(self) -> bool:
        """Whether it was told enough to say how large others are."""
        return len(self._values) >= FEWEST

    @property
    def is_informed(self) -> bool:
        """Whether it knows enough to say which others are larger."""
        return bool(self._earlier) or self.has_values

    def predict(self, candidates: Choices, pending: Choices) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the candidates' scores.

        Args:
            candidates: Choices of m architectures.
            pending: Choices of what was asked for and not told.
        """
        if not self.has_values:
            means, deviations = self._foretold(candidates, [*self.choices, *pending])
            return means.mean(1), deviations.mean(1)
        kernel, view = self._kernel(), self._view(len(self._values), self._most)
        seen = self._encoding([self.choices[i] for i in view.used])
        posterior = Posterior(kernel, seen, view.left, self._encoding(pending))
        mean, deviation = posterior.predict(self._encoding(candidates))
        if self._earlier:
            mean = mean + self._foretold(candidates, [])[0] @ view.weights
        return mean * view.spread + view.centre, deviation * view.spread

    def _foretold(self, candidates: Choices, pending: Choices) -> tuple[Floats, Floats]:
        """(m, s) each: means and standard deviations of the earlier searches, in units of their own spreads."""
        found = [model.standardized(candidates, pending) for model in self._earlier]
        means, deviations = zip(*found, strict=True)
        return np.stack(means, axis=1), np.stack(deviations, axis=1)

    def standardized(self, candidates: Choices, pending: Choices) -> tuple[Floats, Floats]:
        """As `predict`, for scores with mean 0 and standard deviation 1."""
        y = self._scale(self.values)
        mean, deviation = self.predict(candidates, pending)
        spread = float(y.std()) or 1.0
        return (mean - y.mean()) / spread, deviation / spread

    def _view(self, n: int, most: int) -> _View:
        """Of the first n values, `most` at most."""
        y = self._scale(self.values[:n])
        used = self._used(y, most)
        if not self._earlier:
            centre = float(y[used].mean())
            return _View(used, y[used] - centre, np.empty(0), centre, 1.0)
        spread = float(y.std()) or 1.0
        foretold = self._foretold([self.choices[i] for i in used], [])[0]
        counts = weights(foretold, y[used])
        left = y[used] / spread - foretold @ counts
        return _View(used, left - left.mean(), counts, float(left.mean()) * spread, spread)

    def _kernel(self) -> Kernel:
        """Fitted to as many of the first values as the last step of growth had, whenever it is asked for."""
        n = FEWEST
        while (more := max(n + 1, int(n * GROWTH))) <= len(self._values):
            n = more
        if self._fitted is None or self._fitted[0] != n:
            view = self._view(n, FITTED)
            self._fitted = n, fit_kernel(self._encoding([self.choices[i] for i in view.used]), view.left)
        return self._fitted[1]

    def _used(self, y: Floats, most: int) -> NDArray[np.intp]:
        """Indices of the best half and the latest half, if there are too many."""
        if len(y) <= most:
            return np.arange(len(y))
        latest = np.arange(len(y) - most // 2, len(y))
        earlier = np.argsort(-y[: latest[0]], kind="stable")[: most - len(latest)]
        return np.concatenate([np.sort(earlier), latest])

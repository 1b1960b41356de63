"""A Gaussian process over what a strategy was told so far: what it predicts of others, and how uncertain it is.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2 and 5. Which values
are kept, and when the kernel is fitted anew, is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from paretonas.strategy.surrogates.gaussian import Floats, Kernel, Posterior, Rows, fit_kernel

Scale = Callable[[Floats], Floats]

GROWTH = 1.1
"""The kernel is fitted anew each time there are this many times as many values."""
FITTED = 300
"""Of so many at most."""


class Model:
    """Values of architectures, and a Gaussian process that is fitted to them as they grow.

    Args:
        encoding: Choices to what the process sees.
        scale: Values to what is modelled, such as their ranks.
        most: Values that are taken in at most.
    """

    def __init__(self, encoding: Callable[[Sequence[tuple[int, ...]]], Rows], scale: Scale, most: int):
        self._encoding, self._scale, self._most = encoding, scale, most
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

    def predict(
        self, candidates: Sequence[tuple[int, ...]], pending: Sequence[tuple[int, ...]]
    ) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the candidates' scores.

        Args:
            candidates: Choices of m architectures.
            pending: Choices of what was asked for and not told.
        """
        kernel, y = self._kernel(), self._scale(self.values)
        used = self._used(y, self._most)
        seen, mean = self._encoding([self.choices[i] for i in used]), float(y[used].mean())
        posterior = Posterior(kernel, seen, y[used] - mean, self._encoding(pending))
        predicted, deviation = posterior.predict(self._encoding(candidates))
        return predicted + mean, deviation

    def _kernel(self) -> Kernel:
        """Fitted to as many of the first values as the last step of growth had, whenever it is asked for."""
        n = 2
        while (more := max(n + 1, int(n * GROWTH))) <= len(self._values):
            n = more
        if self._fitted is None or self._fitted[0] != n:
            y = self._scale(self.values[:n])
            used = self._used(y, FITTED)
            part = y[used] - y[used].mean()
            self._fitted = n, fit_kernel(self._encoding([self.choices[i] for i in used]), part)
        return self._fitted[1]

    def _used(self, y: Floats, most: int) -> NDArray[np.intp]:
        """Indices of the best half and the latest half, if there are too many."""
        if len(y) <= most:
            return np.arange(len(y))
        latest = np.arange(len(y) - most // 2, len(y))
        earlier = np.argsort(-y[: latest[0]], kind="stable")[: most - len(latest)]
        return np.concatenate([np.sort(earlier), latest])

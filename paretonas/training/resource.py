"""What the widths of a network cost: MACs, parameters, activations, latency; and how much each group of channels adds.

Source: Gordon et al., MorphNet, CVPR 2018, section 4.1 (equations 4 to 7); the released resource functions
(google-research/morph-net, resource_function.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BYTES = 4
"""Of a number."""
DELTA = 0.1
"""Share of a width by which it is changed to see what that costs."""


class Resource(ABC):
    """What is spent by a network whose groups have these widths."""

    @abstractmethod
    def cost(self, widths: Sequence[float]) -> float:
        """In the resource's unit.

        Args:
            widths: Of each group.
        """

    @abstractmethod
    def pressure(self, widths: Sequence[float]) -> Numbers:
        """Of each group what a channel more would cost: the weight of its channels in the regularizer."""


@dataclass(frozen=True)
class Products(Resource):
    """A constant, and of each layer a coefficient times what it reads times what it makes.

    Args:
        constant: Of layers whose widths stay.
        coefficients: (layers,)
        ins: (layers, groups + 1): channels that a layer reads for each channel of a group, and whatever the widths.
        outs: Likewise what it makes.
        counted: (layers,) How often a layer counts in the pressure: a depthwise convolution twice, as its channels are
            both read and made.
    """

    constant: float
    coefficients: Numbers
    ins: Numbers
    outs: Numbers
    counted: Numbers

    def cost(self, widths: Sequence[float]) -> float:
        return self.constant + float(self.of_layers(widths).sum())

    def of_layers(self, widths: Sequence[float]) -> Numbers:
        """What each layer costs."""
        read, made = self._sides(widths)
        return self.coefficients * read * made

    def pressure(self, widths: Sequence[float]) -> Numbers:
        return self.pressures(widths).sum(axis=0)

    def pressures(self, widths: Sequence[float]) -> Numbers:
        """What a channel more of each group costs in each layer: (layers, groups)."""
        read, made = self._sides(widths)
        weights = (self.coefficients * self.counted)[:, None]
        return weights * (self.ins[:, :-1] * made[:, None] + self.outs[:, :-1] * read[:, None])

    def _sides(self, widths: Sequence[float]) -> tuple[Numbers, Numbers]:
        full = np.append(np.asarray(widths, dtype=np.float64), 1.0)
        return self.ins @ full, self.outs @ full


@dataclass(frozen=True)
class Roofline(Resource):
    """Time of each layer on a machine that computes or moves data, whichever takes longer, in ns.

    Args:
        macs: Of each layer.
        reads: Numbers that it reads, writes, and has as weights, in the rows of three such products.
        gflops: Of the machine, in 10^9 operations a second; a MAC is two.
        gbytes: In 10^9 bytes a second.
    """

    macs: Products
    reads: tuple[Products, Products, Products]
    gflops: float
    gbytes: float

    def cost(self, widths: Sequence[float]) -> float:
        return float(np.maximum(*self._times(widths)).sum())

    def pressure(self, widths: Sequence[float]) -> Numbers:
        computing, moving = self._times(widths)
        is_computing = (computing >= moving)[:, None]
        moved = np.sum([one.pressures(widths) for one in self.reads], axis=0) * (BYTES / self.gbytes)
        return np.where(is_computing, self.macs.pressures(widths) * (2 / self.gflops), moved).sum(axis=0)

    def _times(self, widths: Sequence[float]) -> tuple[Numbers, Numbers]:
        moved = np.sum([one.of_layers(widths) for one in self.reads], axis=0)
        return 2 * self.macs.of_layers(widths) / self.gflops, BYTES * moved / self.gbytes


@dataclass(frozen=True)
class Estimated(Resource):
    """Whatever a function says, its slopes by finite differences.

    Args:
        estimate: Of whole widths.
        floors: Smallest width of each group.
        multiples: Widths are multiples of these.
    """

    estimate: Callable[[tuple[int, ...]], float]
    floors: tuple[int, ...]
    multiples: tuple[int, ...]

    def cost(self, widths: Sequence[float]) -> float:
        return self.estimate(tuple(int(width) for width in widths))

    def pressure(self, widths: Sequence[float]) -> Numbers:
        slopes = []
        for group, width in enumerate(widths):
            step = max(1, round(DELTA * width / self.multiples[group])) * self.multiples[group]
            below, above = list(widths), list(widths)
            below[group] = max(self.floors[group], width - step)
            above[group] = max(self.floors[group], width) + step
            slopes.append((self.cost(above) - self.cost(below)) / (above[group] - below[group]))
        return np.maximum(np.array(slopes), 0.0)

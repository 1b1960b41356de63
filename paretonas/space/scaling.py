"""Compound scaling: a network made deeper, wider and fit for larger images at once, by one number.

Source: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paretonas.errors import UsageError
from paretonas.space.transform import Transform

GROWTH, TOLERANCE, STEP = 2.0, 0.1, 0.05
"""MACs grow by this factor for each unit of phi; how exactly; and the step of the grid."""


@dataclass(frozen=True)
class Scaling:
    """What depth, width and resolution are multiplied by for each unit of phi.

    Args:
        depth: alpha.
        width: beta.
        resolution: gamma.

    Raises:
        UsageError: One of them is below 1 or above 2.

    >>> Scaling().transform(1, 224)
    Transform(width=1.1, depth=1.2, resolution=258, skeleton=None, cells=None, filters=None)
    """

    depth: float = 1.2
    width: float = 1.1
    resolution: float = 1.15

    def __post_init__(self) -> None:
        if not all(1 <= factor <= 2 for factor in vars(self).values()):
            raise UsageError(
                "`1 <= alpha, beta, gamma <= 2` must hold for depth, width and resolution, but got "
                f"{self.depth:g}, {self.width:g}, {self.resolution:g}."
            )

    @property
    def growth(self) -> float:
        """By how much MACs grow for each unit of phi, about."""
        return self.depth * self.width**2 * self.resolution**2

    def transform(self, phi: float, resolution: int) -> Transform:
        """What is changed of a network for images of this side, in pixels; an odd side becomes even.

        Raises:
            UsageError: It would become too large, or nothing.
        """
        try:
            width, depth = round(self.width**phi, 3), round(self.depth**phi, 3)
            side = 2 * round(resolution * self.resolution**phi / 2)
        except OverflowError:
            raise UsageError(f"A scale makes a network ten times as wide or deep at most, but got {phi:g}.") from None
        return Transform(width=width, depth=depth, resolution=side)


def grid() -> Iterator[Scaling]:
    """All scalings in steps of .05 that about double the MACs: `alpha * beta**2 * gamma**2` within .1 of 2."""
    factors = [round(1 + STEP * i, 2) for i in range(round(1 / STEP) + 1)]
    for depth in factors:
        for width in factors:
            for resolution in factors:
                scaling = Scaling(depth, width, resolution)
                if abs(scaling.growth - GROWTH) <= TOLERANCE:
                    yield scaling

"""Widths by a multiplier: the largest that a budget allows, and those by which latencies are learned.

Source: Gordon et al., MorphNet, CVPR 2018, algorithm 1, step 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from paretonas.errors import WorkError
from paretonas.network.layout import Layout

NEAR = 0.002
"""Relative difference of two multipliers that are called equal."""
LEAST, MOST = 0.3, 1.2
"""Shares of the widths of networks whose latency is measured."""


def widen(
    layout: Layout,
    alive: Sequence[int],
    bound: float,
    spent: Callable[[Sequence[int]], float],
    limits: Sequence[tuple[int, int]],
    aligned: int = 1,
) -> tuple[float, tuple[int, ...]]:
    """The largest multiplier of living widths that the budget allows, and the widths that it gives.

    Args:
        layout: Of the network.
        alive: Its living widths.
        bound: Of what is spent.
        spent: By a network of given widths.
        limits: Of each group the narrowest and the widest that it may be.
        aligned: Widths are multiples of this where those of the seed are.

    Raises:
        WorkError: The smallest widths take more than the bound.
    """

    def at(multiplier: float) -> tuple[int, ...]:
        pairs = zip(layout.groups, alive, limits, strict=True)
        return tuple(
            max(least, min(group.nearest(multiplier * width, aligned) if width else 0, most - most % group.multiple))
            for group, width, (least, most) in pairs
        )

    low, high = 0.0, 1.0
    if spent(at(low)) > bound:
        raise WorkError(
            f"A network is narrowed to its budget, but with one channel a layer it takes more than {bound:g}."
        )
    while spent(at(high)) <= bound and at(high) != at(2 * high):
        low, high = high, 2 * high
    while high - low > NEAR * high:
        middle = (low + high) / 2
        low, high = (middle, high) if spent(at(middle)) <= bound else (low, middle)
    return low, at(low)


def drawn_widths(layout: Layout, count: int) -> list[tuple[int, ...]]:
    """Widths of networks by which latencies are learned, always the same: wider and narrower, each group for itself."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        whole = rng.uniform(LEAST, MOST)
        shares = np.clip(whole * rng.uniform(0.5, 1.5, len(layout.groups)), 0.0, MOST)
        found.append(
            tuple(
                max(group.multiple, group.nearest(share * group.width))
                for group, share in zip(layout.groups, shares, strict=True)
            )
        )
    return list(dict.fromkeys(found))

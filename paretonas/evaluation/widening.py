"""Widths by a multiplier: the largest that a budget allows, and those by which latencies are learned.

Source: Gordon et al., MorphNet, CVPR 2018, algorithm 1, step 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from paretonas.errors import WorkError
from paretonas.network.layout import Layout

NEAR = 0.002
"""Relative difference of two multipliers that are called equal."""
TRIES = 12
"""Networks that are measured at most where the widest within a budget is sought."""
CLOSE = 0.97
"""Share of a measured budget that is used up well enough."""
MARGIN = 1.01
"""Times what was measured beyond the budget, so that the next is not there again."""
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


def widen_measured(
    layout: Layout,
    alive: Sequence[int],
    bound: float,
    spent: tuple[Callable[[Sequence[int]], float], Callable[[Sequence[int]], float]],
    limits: Sequence[tuple[int, int]],
    aligned: int = 1,
) -> tuple[float, tuple[int, ...]]:
    """Likewise, where what is spent is measured: an estimate leads there, and each measurement corrects the estimate.

    So few networks are measured, and one measurement that was disturbed does not decide.

    Args:
        layout: Of the network.
        alive: Its living widths.
        bound: Of what is measured.
        spent: By a network of given widths: as measured, and as estimated, in any unit.
        limits: Of each group the narrowest and the widest that it may be.
        aligned: As above.

    Raises:
        WorkError: All that was measured takes more than the bound.
    """
    measured, estimated = spent[0], cache(spent[1])
    narrowest = tuple(least for least, _ in limits)
    factor = measured(layout.widths) / estimated(layout.widths)
    found: tuple[float, tuple[int, ...]] | None = None
    tried = set[tuple[int, ...]]()
    for _ in range(TRIES):
        within = max(bound / factor, estimated(narrowest))
        multiplier, widths = widen(layout, alive, within, estimated, limits, aligned)
        took = measured(widths)
        if took <= bound and (found is None or multiplier > found[0]):
            found = multiplier, widths
        if widths in tried or CLOSE * bound <= took <= bound:
            break
        tried.add(widths)
        factor = took / estimated(widths) * (MARGIN if took > bound else 1.0)
    if found is None:
        raise WorkError(
            f"A network is widened until it takes its budget of {bound:.4g}, but none of the {len(tried)} that were "
            "measured takes as little: the latency of widths jumps, or the machine is busy. Resume it when it is not."
        )
    return found


def estimable(layout: Layout, widths: Sequence[int]) -> tuple[int, ...]:
    """Widths whose latency can be estimated, in the place of these.

    Of one channel a depthwise convolution is a plain one, and of its kernel no measured network may have another.
    """
    return tuple(2 if width == 1 < group.width else width for group, width in zip(layout.groups, widths, strict=True))


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

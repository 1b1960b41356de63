"""Outputs that are a choice of regions, beside those that another engine chose.

Which of two regions is the better one may hang on the last digit, and another region then stands in its place: in what
order regions come is no promise, and a few may be others. What is said of a region that both chose is compared as any
output is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.space import Interface
from paretonas.space.detector import PROPOSALS

Arrays = tuple[NDArray[Any], ...]

MOST_UNPAIRED = 0.1
"""Share of an image's regions that another engine need not have chosen."""


def paired(interface: Interface, expected: Arrays, found: Arrays, tolerance: float) -> tuple[Arrays, Arrays, float]:
    """What two engines say of the same regions; of networks that choose none, what they say.

    Args:
        interface: Of the network.
        expected: Outputs of a batch; of each region a row: (N, rows, numbers).
        found: The other's, of the same shapes.
        tolerance: By which the corners of a region may differ, relative to the largest.

    Returns:
        Both, (pairs, numbers) each, and the share of regions without a pair.
    """
    names = [port.name for port in interface.outputs]
    if PROPOSALS not in names:
        return expected, found, 0.0
    where = names.index(PROPOSALS)
    ones, others = expected[where], found[where]
    nearest = tolerance * float(np.abs(ones).max())
    pairs = [_pairs(a, b, nearest) for a, b in zip(ones, others, strict=True)]
    first, second = (
        tuple(np.concatenate([x[pair[side]] for x, pair in zip(output, pairs, strict=True)]) for output in outputs)
        for side, outputs in enumerate((expected, found))
    )
    return first, second, 1 - len(first[where]) / (ones.shape[0] * ones.shape[1])


def _pairs(ones: NDArray[Any], others: NDArray[Any], nearest: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """As many as can be; the places of their halves."""
    from scipy.optimize import linear_sum_assignment

    apart = np.abs(ones[:, None].astype(np.float64) - others[None]).max(2)
    is_near = apart <= nearest
    a, b = linear_sum_assignment(np.where(is_near, apart, 2 * nearest + 1))
    kept = is_near[a, b]
    return a[kept], b[kept]

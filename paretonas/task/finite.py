"""Whether outputs are numbers at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import TrainingError


def check_finite(*outputs: NDArray[np.float32]) -> None:
    """Refuse what a network gives that has diverged.

    Raises:
        TrainingError: An output is not a finite number.
    """
    if not all(np.isfinite(one).all() for one in outputs):
        raise TrainingError("A trained network gives finite outputs, but some are NaN or infinite: training diverged.")

"""From a network's raw outputs to what they mean, by the metadata of an exported file alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import TrainingError, UsageError

CLASSES = "classes"


def top_classes(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The most likely class of each example.

    Args:
        logits: (n, classes).

    Raises:
        TrainingError: An output is not a finite number.
    """
    if not np.isfinite(logits).all():
        raise TrainingError("A trained network gives finite outputs, but some are NaN or infinite: training diverged.")
    found: NDArray[np.int64] = logits.argmax(1)
    return found


def decode(outputs: tuple[NDArray[Any], ...], metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the outputs of a batch say, one entry an example.

    Args:
        outputs: Of the network.
        metadata: Beside the exported file; `kind` says what the outputs are.

    Returns:
        For `classes`: `class`, its name, and `probability`.

    Raises:
        UsageError: Metadata of another kind.

    >>> decode((np.array([[0.0, np.log(3.0)]]),), {"kind": "classes", "classes": ["cat", "dog"]})
    [{'class': 'dog', 'probability': 0.75}]
    """
    if metadata.get("kind") != CLASSES:
        raise UsageError(f"Outputs are decoded by metadata of the kind {CLASSES!r}, but got {metadata.get('kind')!r}.")
    logits = outputs[0].astype(np.float64)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    shares = weights / weights.sum(1, keepdims=True)
    return [
        {"class": metadata["classes"][best], "probability": round(float(row[best]), 6)}
        for row, best in zip(shares, top_classes(outputs[0]), strict=True)
    ]

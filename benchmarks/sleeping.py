"""A training that sleeps; a module of its own, as workers import it."""

from __future__ import annotations

import time
from collections.abc import Mapping


def train(seconds: float, metrics: Mapping[str, float]) -> dict[str, float]:
    """A training in small."""
    time.sleep(seconds)
    return dict(metrics)

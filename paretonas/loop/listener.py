"""What a search tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paretonas.trial import Trial


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a trial has ended.

    Args:
        trial: The one that ended.
        ended: How many have ended.
        budget: How many there may be; None: as many as fit the time.
        best: The one with the highest reward so far.
        seconds: Wall time of all sessions so far.
        seconds_left: Estimate; None if it cannot be told yet.
    """

    trial: Trial
    ended: int
    budget: int | None
    best: Trial | None
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class Listener:
    """Functions that are told how a search goes on.

    Args:
        note: A line of text.
        progress: After every trial that ended.
        decoding: Numbers of images decoded and of all images, while data are prepared.
    """

    note: Callable[[str], None] = lambda text: None
    progress: Callable[[Progress], None] = lambda progress: None
    decoding: Callable[[int, int], None] | None = None


SILENT = Listener()
"""Tells nobody."""

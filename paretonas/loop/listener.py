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
        quality: The metric that training is about.
        ended: How many have ended.
        budget: How many there may be; None: as many as fit the time.
        best: The one with the highest reward so far.
        seconds: Wall time of all sessions so far.
        seconds_left: Estimate; None if it cannot be told yet.
    """

    trial: Trial
    quality: str
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
        counting: What is counted, how much of it is done, and of how much, while things are prepared.
    """

    note: Callable[[str], None] = lambda text: None
    progress: Callable[[Progress], None] = lambda progress: None
    counting: Callable[[str, int, int], None] = lambda what, done, total: None


SILENT = Listener()
"""Tells nobody."""

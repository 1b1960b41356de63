"""What a strategy foretold of the rewards, beside what came out: for each length of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paretonas.trial import Trial

if TYPE_CHECKING:
    from paretonas.report.correlation import Correlation


@dataclass(frozen=True)
class Foretold:
    """Of architectures of one length.

    Args:
        decisions: Their length.
        correlation: Of the rewards that were foretold, before any of them was known, with those that came out.
    """

    decisions: int
    correlation: Correlation

    def __str__(self) -> str:
        found = self.correlation
        return (
            f"Rewards foretold of {found.n} architectures of {self.decisions} decisions: rank correlation "
            f"{found.spearman:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
        )


def foretold(trials: Sequence[Trial]) -> list[Foretold]:
    """Of every length of which a strategy foretold the rewards of five trials or more, rising."""
    told: dict[int, list[tuple[float, float]]] = {}
    for trial in trials:
        predicted, reward = trial.context.get("predicted"), trial.usable_reward
        if isinstance(predicted, int | float) and reward is not None:
            told.setdefault(len(trial.architecture.choices), []).append((float(predicted), reward))
    if not told:  # of most strategies; scipy takes a second to load
        return []
    from paretonas.report.correlation import FEWEST, rank_correlation

    return [
        Foretold(length, rank_correlation(*zip(*pairs, strict=True)))
        for length, pairs in sorted(told.items())
        if len(pairs) >= FEWEST
    ]

"""A search in numbers: how much was tried, what came out, how near the target it was."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.objective import hypervolume
from paretonas.report.searched import Point, Searched, best_within
from paretonas.trial import State

NEAR = 0.1
"""Share of the target within which a latency is near it."""


@dataclass(frozen=True)
class Totals:
    """A search in one line.

    Args:
        trials: All of them.
        ended: Those that came to an end.
        unique_ended: Different specs among those.
        states: How many ended how.
        best: Most accurate network within the target.
        best_reward: Highest reward.
        mean_reward: Over all trials with a reward.
        late_reward: Over the last quarter of them.
        median_latency_ms: Over all trials that were timed and have ended.
        near: Share of the timed trials within 10 % of the target.
        within: Share of the timed trials at or below the target.
        frontier: Best accuracy within a latency budget, averaged over all budgets up to twice the target.
    """

    trials: int
    ended: int
    unique_ended: int
    states: dict[State, int]
    best: Point | None
    best_reward: float | None
    mean_reward: float | None
    late_reward: float | None
    median_latency_ms: float | None
    near: float | None
    within: float | None
    frontier: float | None


def totals(searched: Searched, target_ms: float | None) -> Totals:
    """Count and average what a search did."""
    states = [trial.state for trial in searched.trials]
    rewards = [r for t in searched.in_order if (r := t.usable_reward) is not None]
    times = [t.metrics["latency_ms"] for t in searched.in_order if "latency_ms" in t.metrics]
    points = searched.points("accuracy")
    is_aimed = bool(times) and target_ms is not None
    target = target_ms or math.inf
    return Totals(
        trials=len(states),
        ended=sum(state.is_final for state in states),
        unique_ended=len({trial.spec_hash for trial in searched.trials if trial.state.is_final}),
        states={state: states.count(state) for state in State if state in states},
        best=best_within(points, target_ms),
        best_reward=max(rewards, default=None),
        mean_reward=statistics.fmean(rewards) if rewards else None,
        late_reward=statistics.fmean(rewards[-math.ceil(len(rewards) / 4) :]) if rewards else None,
        median_latency_ms=statistics.median(times) if times else None,
        near=sum(abs(t / target - 1) <= NEAR for t in times) / len(times) if is_aimed else None,
        within=sum(t <= target for t in times) / len(times) if is_aimed else None,
        frontier=frontier(points, target) if points and target_ms is not None else None,
    )


def frontier(points: Sequence[Point], target_ms: float) -> float:
    """Best accuracy within a latency budget, averaged over all budgets from 0 to twice the target.

    The hypervolume of accuracy and latency over the area of its box; 0 where nothing is fast enough.
    """
    volume = hypervolume([(p.accuracy, -p.latency_ms) for p in points], (0.0, -2 * target_ms))
    return volume / (2 * target_ms)

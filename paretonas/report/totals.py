"""A search in numbers: how much was tried, what came out, how near the target it was."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.objective import hypervolume, metric
from paretonas.report.aims import Pair
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
        best_reward: Highest reward.
        mean_reward: Over all trials with a reward.
        late_reward: Over the last quarter of them.
    """

    trials: int
    ended: int
    unique_ended: int
    states: dict[State, int]
    best_reward: float | None
    mean_reward: float | None
    late_reward: float | None


@dataclass(frozen=True)
class Nearness:
    """A search's latencies on one device in one line.

    Args:
        best: Best network within the target.
        median_latency_ms: Over all trials that were timed and have ended.
        near: Share of the timed trials within 10 % of the target.
        within: Share of the timed trials at or below the target.
        budget_mean: Best quality within a latency budget, averaged over all budgets up to twice the target; None where
            less is better, as what no network at all is worth is infinite then.
    """

    best: Point | None
    median_latency_ms: float | None
    near: float | None
    within: float | None
    budget_mean: float | None


def totals(searched: Searched) -> Totals:
    """Count and average what a search did."""
    states = [trial.state for trial in searched.trials]
    rewards = [r for t in searched.in_order if (r := t.usable_reward) is not None]
    return Totals(
        trials=len(states),
        ended=sum(state.is_final for state in states),
        unique_ended=len({trial.spec_hash for trial in searched.trials if trial.state.is_final}),
        states={state: states.count(state) for state in State if state in states},
        best_reward=max(rewards, default=None),
        mean_reward=statistics.fmean(rewards) if rewards else None,
        late_reward=statistics.fmean(rewards[-math.ceil(len(rewards) / 4) :]) if rewards else None,
    )


def nearness(searched: Searched, pair: Pair) -> Nearness:
    """Count and average the latencies of a search on one device.

    Args:
        searched: The search.
        pair: Quality, latency and target of the search that the report is about.
    """
    latencies = [t.metrics[pair.latency] for t in searched.in_order if pair.latency in t.metrics]
    points, target = searched.points(pair), pair.target_ms or math.inf
    is_aimed, is_rising = bool(latencies) and pair.target_ms is not None, metric(pair.quality).is_rising
    return Nearness(
        best=best_within(points, pair.target_ms),
        median_latency_ms=statistics.median(latencies) if latencies else None,
        near=sum(abs(ms / target - 1) <= NEAR for ms in latencies) / len(latencies) if is_aimed else None,
        within=sum(ms <= target for ms in latencies) / len(latencies) if is_aimed else None,
        budget_mean=budget_mean(points, target) if points and is_aimed and is_rising else None,
    )


def budget_mean(points: Sequence[Point], target_ms: float) -> float:
    """Best quality within a latency budget, averaged over all budgets from 0 to twice the target.

    The hypervolume of a rising quality and latency over the width of its box; 0 where nothing is fast enough.
    """
    volume = hypervolume([(p.quality, -p.latency_ms) for p in points], (0.0, -2 * target_ms))
    return volume / (2 * target_ms)

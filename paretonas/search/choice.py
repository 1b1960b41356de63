"""Which trials become finalists: those of certain numbers, or the best, spread over the latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from paretonas.errors import UsageError
from paretonas.objective import front_trials, recommend
from paretonas.objective.recommendation import Targets
from paretonas.trial import State, Trial


def numbered(trials: Sequence[Trial], numbers: Sequence[int]) -> list[Trial]:
    """The trials of these numbers.

    Raises:
        UsageError: One does not exist or is not complete.
    """
    complete = {trial.number: trial for trial in _complete(trials)}
    missing = [number for number in numbers if number not in complete]
    if missing:
        raise UsageError(f"A finalist is a complete trial of the search, but {missing[0]} is not one.")
    return [complete[number] for number in numbers]


def choose(trials: Sequence[Trial], quality: str, targets: Targets, top: int = 1) -> list[Trial]:
    """The trials to train: those that are recommended, then others of the front, spread over the latencies.

    First stands what is recommended for all devices, then what is for each; then, one after the other, the network of
    the front that is furthest from those chosen, by the ratio of its latencies to the nearest one's. Where a front has
    no more, that of the rest follows. All is by the numbers of the search, so that the same command chooses the same.

    Args:
        trials: Of a search.
        quality: Name of its metric.
        targets: Of all its latencies.
        top: How many; fewer where there are not as many networks that differ.

    Raises:
        UsageError: No trial is complete.
    """
    different: dict[str, Trial] = {}
    for trial in _complete(trials):
        different.setdefault(trial.spec_hash, trial)
    rest = {trial.number: trial for trial in different.values()}
    wanted = recommend(tuple(rest.values()), quality, targets, ignore_finalists=True)
    chosen = [rest[number] for number in dict.fromkeys(one.trial for one in wanted)][:top]
    while len(chosen) < top and (front := front_trials(tuple(rest.values()), quality, targets)):
        numbers = {trial.number for trial in chosen}
        others = [trial for trial in front if trial.number not in numbers]
        chosen += _spread(others, chosen, tuple(targets), top - len(chosen))
        for trial in front:
            del rest[trial.number]
    return chosen


def _complete(trials: Sequence[Trial]) -> list[Trial]:
    complete = [trial for trial in trials if trial.state is State.COMPLETE]
    if not complete:
        raise UsageError("A finalist is a complete trial, but this search has none yet.")
    return complete


def _spread(front: Sequence[Trial], chosen: Sequence[Trial], names: Sequence[str], most: int) -> list[Trial]:
    """Up to `most` of a front, each the furthest from all before it; of equally far ones the slower, so better, one."""
    rest, found = list(reversed(front)), list[Trial]()
    while rest and len(found) < most:
        before = (*chosen, *found)
        furthest = max(rest, key=lambda trial: min((_distance(trial, one, names) for one in before), default=0.0))
        rest.remove(furthest)
        found.append(furthest)
    return found


def _distance(trial: Trial, other: Trial, names: Sequence[str]) -> float:
    """Of the logarithms of the latencies."""
    return math.hypot(*(math.log(trial.metrics[name] / other.metrics[name]) for name in names))

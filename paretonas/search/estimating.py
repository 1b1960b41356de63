"""A search that estimates latencies: what its configuration says of devices becomes an evaluator, or is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from paretonas.device import Device
from paretonas.evaluation.estimates import Estimating, EstimatingEvaluator
from paretonas.evaluation.evaluator import Evaluator
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.objective import Limit
from paretonas.objective.metric import ESTIMATED, LATENCY, on_device
from paretonas.search.config import SearchConfig
from paretonas.space import SearchSpace
from paretonas.store import Store


def estimated(
    config: SearchConfig,
    inner: TrainedEvaluator,
    space: Callable[[], SearchSpace],
    store: Store,
) -> Evaluator:
    """The evaluator of a search: `inner`, or one that estimates latencies where the search asks for it.

    Args:
        config: Of the search.
        inner: What it would be without.
        space: Gives the space, once it is asked.
        store: Where evaluations are kept.
    """
    asked = zip(inner.devices, config.devices, strict=False)
    networks = {device.name: one.estimate for device, one in asked if one.estimate is not None}
    if not networks:
        return inner
    return EstimatingEvaluator(inner, inner.task.interface, inner.devices, Estimating(space, networks), store)


def with_what_is_given(config: SearchConfig, devices: Sequence[Device], evaluator: Evaluator) -> SearchConfig:
    """The configuration without the estimates that a prepared evaluator does not give, as it measures instead.

    Limits and goals that were of them are of the measured latency then.

    Args:
        config: Of the search.
        devices: Its devices.
        evaluator: Prepared.
    """
    given = {name for stage in evaluator.stages() for name in stage.gives}
    estimates = {
        one: on_device(ESTIMATED.name, device.name) for one, device in zip(config.devices, devices, strict=False)
    }
    lost = {
        name: on_device(LATENCY.name, name.partition(".")[2])
        for one, name in estimates.items()
        if one.estimate is not None and name not in given
    }
    if not lost:
        return config
    limits = {text: Limit.parse(text) for text in config.limits}
    return replace(
        config,
        devices=tuple(replace(one, estimate=None) if estimates[one] in lost else one for one in config.devices),
        goals=tuple(lost.get(goal, goal) for goal in config.goals),
        limits=tuple(
            f"{lost[limit.metric]}<={limit.bound!r}" if limit.metric in lost else text for text, limit in limits.items()
        ),
    )

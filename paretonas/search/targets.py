"""The latencies that a search aims at: given ones, and measured ones where none was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Evaluator, Listens
from paretonas.objective.metric import LATENCY, of_kind, on_device
from paretonas.search.config import DeviceConfig, SearchConfig


def targets(devices: Sequence[DeviceConfig], evaluator: Evaluator, listener: Listens) -> dict[str, float]:
    """Milliseconds to aim at, for every latency that the evaluator gives.

    Args:
        devices: As configured, with the targets that were given.
        evaluator: Prepared; measures what is usual where no target was given.
        listener: Is told of measured targets.

    Raises:
        UsageError: A target for a device that there is not.
    """
    names = list(of_kind(LATENCY.name, {name: 0.0 for stage in evaluator.stages() for name in stage.gives}))
    is_alone = len(names) == len(devices) == 1
    given = {_name(one, is_alone): one.target_ms for one in devices if one.target_ms is not None}
    unknown = given.keys() - set(names)
    if unknown:
        raise UsageError(f"Targets are for {', '.join(names) or 'no latency'}, but got one for {min(unknown)}.")
    return {name: given.get(name) or evaluator.usual_ms(name, listener) for name in names}


def aimed_devices(config: SearchConfig, aimed: Mapping[str, float]) -> tuple[DeviceConfig, ...]:
    """The configured devices with the latencies that are aimed at; those of a table are its columns."""
    if config.table is not None:
        columns = (DeviceConfig("table", name.partition(".")[2], target) for name, target in aimed.items())
        return tuple(columns) or config.devices
    alone = len(config.devices) == 1
    return tuple(replace(one, target_ms=aimed.get(_name(one, alone))) for one in config.devices)


def _name(device: DeviceConfig, is_alone: bool) -> str:
    """The metric of a device; the only one goes without its name."""
    return on_device(LATENCY.name, "" if is_alone else device.name)

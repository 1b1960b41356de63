"""The latencies that a search aims at: given ones, and measured ones where none was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Evaluator, Listens
from paretonas.objective.metric import LATENCY, latencies, on_device
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
    names = {_device(name): name for name in latencies(n for stage in evaluator.stages() for n in stage.gives)}
    is_alone = len(names) == len(devices) == 1
    given = {"" if is_alone else one.name: one.target_ms for one in devices if one.target_ms is not None}
    unknown = given.keys() - names.keys()
    if unknown:
        known = ", ".join(names.values()) or "no latency"
        raise UsageError(f"Targets are for {known}, but got one for {on_device(LATENCY.name, min(unknown))}.")
    return {name: given.get(device) or evaluator.usual_ms(name, listener) for device, name in names.items()}


def aimed_devices(config: SearchConfig, aimed: Mapping[str, float]) -> tuple[DeviceConfig, ...]:
    """The configured devices with the latencies that are aimed at; those of a table are its columns."""
    if config.table is not None:
        columns = (DeviceConfig("table", _device(name), target) for name, target in aimed.items())
        return tuple(columns) or config.devices
    targets, alone = {_device(name): target for name, target in aimed.items()}, len(config.devices) == 1
    return tuple(replace(one, target_ms=targets.get("" if alone else one.name)) for one in config.devices)


def _device(name: str) -> str:
    """Of a latency's metric; the only one goes without its name."""
    return name.partition(".")[2]

"""Where in a network the time goes: seconds by operation, by module and by part.

Each engine has a profiler of its own, registered under the runtime's name. Looking at an operation takes microseconds
itself, which would count against parts of many small ones; so an operation that does nothing is timed in turn with the
network, and what it takes is subtracted. Only the proportions of what remains are used: the latency of a part is its
share of the headline, and the parts add up to it.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paretonas.device.device import Device
from paretonas.device.transport.local import quiet_core
from paretonas.errors import MeasureError
from paretonas.export import ModelFile, example_inputs
from paretonas.network.cost import Cost
from paretonas.registry import Registry
from paretonas.space import Spec

profilers = Registry(
    "profiler",
    {
        "onnxruntime": "paretonas.device.runtime.onnxruntime:profile_onnxruntime",
        "torch": "paretonas.device.runtime.torch:profile_torch",
    },
)
"""Functions `(runtime, path, inputs, runs) -> Profile`, by the name of the runtime; they need not warm up."""

WARMUP = 10


@dataclass(frozen=True)
class Operation:
    """One operation as a runtime executed it.

    Args:
        name: The runtime's word for it.
        module: Dotted path of the module that it belongs to; "" for the model itself.
        seconds: One entry a run.
    """

    name: str
    module: str
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Profile:
    """The raw times of all operations of a network.

    Args:
        operations: In the order of execution.
        overhead: Seconds of an operation that does nothing, one entry a run.
        conditions: Device, version, threads, CPU, date.

    Raises:
        MeasureError: No operations, no runs, or runs that differ in number.
    """

    operations: tuple[Operation, ...]
    overhead: tuple[float, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        runs = sorted({len(self.overhead), *(len(operation.seconds) for operation in self.operations)})
        if not self.operations or len(runs) != 1 or not runs[0]:
            raise MeasureError(f"A profile has one time a run for each operation, but got numbers of runs {runs}.")

    def by_module(self) -> dict[str, float]:
        """Seconds a run of each module's own operations."""
        return self.by_name([operation.module for operation in self.operations])

    def by_name(self, names: Sequence[str]) -> dict[str, float]:
        """Seconds a run of operations taken together: the median over runs of their sum, without the overhead.

        Args:
            names: One an operation; those of the same name are taken together.
        """
        rows: dict[str, list[tuple[float, ...]]] = {}
        for name, operation in zip(names, self.operations, strict=True):
            rows.setdefault(name, []).append(operation.seconds)
        overhead = statistics.median(self.overhead)
        medians = {name: statistics.median(map(sum, zip(*row, strict=True))) for name, row in rows.items()}
        return {name: max(0.0, medians[name] - len(row) * overhead) for name, row in rows.items()}


@dataclass(frozen=True)
class BlockLatency:
    """What one part of a network takes.

    Args:
        name: "block3".
        share: Of the network's time, in [0, 1].
        latency_ms: That share of the network's latency.
    """

    name: str
    share: float
    latency_ms: float


def profile(device: Device, file: ModelFile, runs: int = 50) -> Profile:
    """Run a file under its engine's profiler, as measurements run: alone, after warm-up, one thread pinned to a core.

    Args:
        device: On this machine.
        file: In the runtime's format.
        runs: That are kept, > 0; medians over 50 runs stand still within a few percent.

    Raises:
        MeasureError: The runtime has no profiler, the device is elsewhere, or the file could not be profiled.
    """
    if not 1 <= runs <= 100_000:
        raise MeasureError(f"`1 <= runs <= 100000` must hold, but got (runs={runs}).")
    name = re.split("[:@]", device.text, maxsplit=1)[0].strip()
    if name not in profilers:
        raise MeasureError(
            f"A profile needs a runtime with a profiler, but {name!r} has none. Use one of {', '.join(profilers)}."
        )
    if device.transport.machine != "here":
        raise MeasureError(f"A profile is taken on this machine, but {device.text!r} is another. Profile it there.")
    inputs = example_inputs(file.interface)
    with quiet_core(device.runtime) as moment:
        found = profilers.load(name)(device.runtime, file.path, inputs, WARMUP + runs)
    kept = tuple(Operation(o.name, o.module, o.seconds[WARMUP:]) for o in found.operations)
    return Profile(kept, found.overhead[WARMUP:], {"device": device.text, **device.facts, **moment})


def profile_of_runs(traces: Sequence[Sequence[tuple[str, str, float]]], overhead: Sequence[float]) -> Profile:
    """What a profiler saw, run by run, as one row an operation.

    Args:
        traces: For each run, name, module and seconds of its operations, in the order of execution.
        overhead: For each run, seconds of an operation that does nothing.

    Raises:
        MeasureError: The runs are not alike, or there is nothing in them.
    """
    first = [step[:2] for step in traces[0]]
    if not first or any([step[:2] for step in trace] != first for trace in traces):
        raise MeasureError(
            f"A profile needs a network that runs the same operations every time, but got "
            f"{sorted({len(trace) for trace in traces})} of them. Measure it without its blocks."
        )
    times = zip(*([seconds for *_, seconds in trace] for trace in traces), strict=True)
    found = (Operation(name, module, seconds) for (name, module), seconds in zip(first, times, strict=True))
    return Profile(tuple(found), tuple(overhead))


def parts(spec: Spec, cost: Cost) -> dict[str, tuple[str, ...]]:
    """The parts of a network, from the input to the output, and the modules of each.

    Where the spec tells none these are the top modules; one without MACs counts for the one before it, as engines fold
    normalization and activation into the convolution.
    """
    told = {part.name: part.modules for part in spec.parts()}
    if told:
        return told
    found: list[list[str]] = []
    for name, (_, macs) in cost.by_module.items():
        if "." not in name:
            if found and not (macs and _macs(cost, found[-1])):
                found[-1].append(name)
            else:
                found.append([name])
    named = ((max(modules, key=lambda m: cost.by_module[m][1]), modules) for modules in found)
    return {name: tuple(modules) for name, modules in named} or {"model": ("",)}


def block_latencies(profile: Profile, parts: Mapping[str, Sequence[str]], latency_ms: float) -> list[BlockLatency]:
    """The latency of a network spread over its parts.

    An operation that is in no part, such as one of the model's own code, counts for the part that ran before it.

    Args:
        profile: Of the network.
        parts: Modules by part.
        latency_ms: Of the whole network, by the timing protocol.

    Returns:
        One entry a part, in the order of `parts`; the shares add up to 1.

    Raises:
        MeasureError: The network takes no longer than looking at it.
    """
    homes = {module: name for name, modules in parts.items() for module in modules}
    name = next(iter(parts))
    names = []
    for operation in profile.operations:
        name = _home(operation.module, homes) or name
        names.append(name)
    seconds = profile.by_name(names)
    total = sum(seconds.values())
    if not total:
        raise MeasureError("A profile needs a network that takes longer than the profiler, but this one does not.")
    shares = {part: seconds.get(part, 0.0) / total for part in parts}
    return [BlockLatency(part, share, share * latency_ms) for part, share in shares.items()]


def _home(module: str, homes: Mapping[str, str]) -> str | None:
    """The part of a module: that of the nearest module around it that has one."""
    while module not in homes and module:
        module = module.rpartition(".")[0]
    return homes.get(module)


def _macs(cost: Cost, modules: Sequence[str]) -> int:
    return sum(cost.by_module[module][1] for module in modules)

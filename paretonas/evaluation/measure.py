"""Timing of any model: a file, a spec, or a published network by name; as a whole, or block by block."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from paretonas.device import Device, parse_device
from paretonas.device.calibration import REFERENCE_NAME, REFERENCE_WIDTH, reference_interface
from paretonas.device.profile import Profile, block_latencies, parts, profile
from paretonas.errors import SpecError, StoreError, UsageError
from paretonas.evaluation import keys
from paretonas.evaluation.device_job import MeasuringJob, device_text, run_measuring
from paretonas.evaluation.keys import Cache
from paretonas.evaluation.latencies import RECORD, calibrated_seconds
from paretonas.export import ModelFile, example_inputs, formats
from paretonas.files import scratch_folder
from paretonas.latency import Latency, latency_from_json
from paretonas.network import build
from paretonas.network.cost import Cost, spec_cost
from paretonas.space import Interface, Spec, load_spec, read_json, spec_to_json
from paretonas.zoo import zoo, zoo_network, zoo_spec


@dataclass(frozen=True)
class Subject:
    """What is to be timed: any model, as users name it.

    Args:
        model: Path of an exported file or of a spec (`.json`), or a name of the zoo.
        width: Multiplier of the filters of a spec or zoo network.
        resolution: Side of the images; a file knows its own, a zoo network has a default.
        classes: That a spec or zoo network tells apart. None: as many as were published.
        channels: Of the images; a file knows its own.
        is_small_image: Give a zoo network the strides that searches use for small images.
    """

    model: str
    width: float = 1.0
    resolution: int | None = None
    classes: int | None = None
    channels: int = 3
    is_small_image: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is an exported file."""
        path = Path(self.model)
        is_spec = path.suffix == ".json" or self.model in zoo
        return path.suffix in {formats.load(name).suffix for name in formats} or (path.is_file() and not is_spec)

    def network(self) -> tuple[Spec, Interface]:
        """The spec of what is no file, and its interface."""
        if self.model.partition(":")[0] not in zoo and Path(self.model).suffix == ".json":
            spec, side = load_spec(Path(self.model)).scaled(self.width), self.resolution or 224
        else:
            side = self.resolution or zoo_network(self.model).published_resolution
            spec = zoo_spec(self.model, self.width, side if self.is_small_image else None)
        return spec, spec.usual_interface(self.channels, side, self.classes or spec.usual_classes)

    def file(self, device: Device) -> ModelFile:
        """The exported file, with what it takes and gives."""
        path, suffix = Path(self.model), formats.load(device.runtime.format).suffix
        if not path.exists():
            raise UsageError(f"A model is a file that exists, but there is no {path}.")
        if path.suffix != suffix:
            raise UsageError(f"The runtime of {device.text!r} takes {suffix} files, but got {path.name!r}. Convert it.")
        if device.runtime.quantization is not None:
            raise UsageError(
                f"A file is timed as it is, but {device.text!r} makes int8 of what it is given. Leave precision out, "
                "or give the network instead of the file."
            )
        return ModelFile(path, device.runtime.interface(path))


def measure_model(subject: Subject, device: str, cache: Cache, folder: Path) -> dict[str, Any]:
    """Time a model on `device`, one example at a time.

    Args:
        subject: The model.
        device: As users write it.
        cache: Keeps the device's calibration.
        folder: For the reference network's file.

    Returns:
        `latency_ms`, `ratio`, `spread`, `clock`, `pairs`, `loads`, `flags`, `attempts`, `reference`, `conditions` and
        `samples`; of a file that ends in boxes also `boxes`, how many it sees in the noise that it is fed.

    Raises:
        UsageError: No such file or network, or a file that the runtime does not take.
        ExportError: It could not be exported.
        MeasureError: It could not be timed.
    """
    chosen = parse_device(device)
    if subject.is_file:
        file = subject.file(chosen)
        seconds = calibrated_seconds(chosen, file.interface, folder, cache)
        latency = chosen.measure(file, folder, seconds, RECORD)
        return {**_result(subject.model, latency, file.interface), **_boxes_in_noise(chosen, file)}
    spec, interface = subject.network()
    seconds = calibrated_seconds(chosen, interface, folder, cache)
    return _result(subject.model, run_measuring(_job(spec, interface, chosen, folder, seconds)), interface)


def measure_as_app(subject: Subject, device: str, folder: Path, runs: int, every: float) -> dict[str, Any]:
    """Run a model as an app does: in a fresh process, with pauses, on whatever core the system gives.

    Args:
        subject: The model.
        device: As users write it.
        folder: For files that are needed for a moment.
        runs: After the first one, >= 1.
        every: Seconds from the beginning of a run to that of the next.

    Returns:
        `model`; milliseconds of wall clock: `median_ms`, `p90_ms`, `fastest_ms`, `first_ms` and `load_ms`; megabytes at
        most: `rss_mb` of the process, and `rss_before_mb` before the model was loaded; `energy_mj`, millijoules
        that the device used for each run and the pause after it; `every_ms`, `throttled`, `conditions`, and the raw
        `wall` in seconds.

    Raises:
        UsageError: No such file or network, or a file that the runtime does not take.
        ExportError: It could not be exported.
        MeasureError: It could not be run so.
    """
    chosen = parse_device(device)
    with torch.random.fork_rng(devices=[]), scratch_folder(folder) as passing:
        file = subject.file(chosen) if subject.is_file else exported(chosen, *subject.network(), passing)
        found = chosen.transport.run_as_app(chosen.runtime, file, runs, every)
    ordered = sorted(found.wall)
    return {
        "model": subject.model,
        "median_ms": statistics.median(ordered) * 1e3,
        "p90_ms": ordered[math.ceil(0.9 * len(ordered)) - 1] * 1e3,
        "fastest_ms": ordered[0] * 1e3,
        "first_ms": found.first * 1e3,
        "load_ms": found.load * 1e3,
        "rss_mb": None if found.rss is None else found.rss / 1e6,
        "rss_before_mb": None if found.rss_before is None else found.rss_before / 1e6,
        "energy_mj": None if found.joules is None else found.joules / runs * 1e3,
        "every_ms": every * 1e3,
        "throttled": found.conditions.get("throttled", "unknown"),
        "conditions": {"device": chosen.text, **chosen.facts, **found.conditions},
        "wall": list(found.wall),
    }


def exported(device: Device, spec: Spec, interface: Interface, folder: Path) -> ModelFile:
    """An untrained network as a file that was checked. It sets PyTorch's seed, and what is loaded may draw from it."""
    torch.manual_seed(0)
    model = build(spec, interface)
    file = device.export(model, spec, interface, folder / "candidate")
    device.verify(model, file)
    return file


def _boxes_in_noise(device: Device, file: ModelFile) -> dict[str, int]:
    """How many, where a file ends in boxes: its latency depends on it."""
    if "suppression" not in formats.create(device.runtime.format).metadata(file.path):
        return {}
    boxes, *_ = device.open(file)(example_inputs(file.interface))
    return {"boxes": len(boxes)}


def _job(spec: Spec, interface: Interface, device: Device, folder: Path, calibrated: float) -> MeasuringJob:
    return MeasuringJob(spec_to_json(spec), interface, device_text(device), folder, calibrated, RECORD)


def measure_blocks(subject: Subject, device: str, cache: Cache, folder: Path) -> dict[str, Any]:
    """Time a model on `device` and say which of its parts take how much of the time.

    Latency and profile are cached together, so that they are taken once; what was taken on a busy machine is taken
    again.

    Args:
        subject: A spec or a network of the zoo.
        device: As users write it; this machine, with a runtime that has a profiler.
        cache: Keeps the device's calibration, latency and profile.
        folder: For the reference network's file.

    Returns:
        What `measure_model` returns, with `spec` and `interface`; `blocks`, each with `name`, `share` of the time,
        `latency_ms`, `macs`, `macs_share` and `ms_per_mmac` (milliseconds per million MACs, None without MACs); and
        `profile`: the raw times in seconds of whatever the runtime executed, and of doing nothing.

    Raises:
        UsageError: No such network, or a file: it does not say of which blocks it was made.
        ExportError: It could not be exported.
        MeasureError: It could not be timed or profiled.
    """
    if subject.is_file:
        raise UsageError(
            f"Blocks are those of a spec (.json) or of a network of the zoo, but got the file {subject.model}."
        )
    spec, interface = subject.network()
    latency, taken = _latency_and_profile(parse_device(device), spec, interface, cache, folder)
    return {
        **_result(subject.model, latency, interface),
        "spec": spec_to_json(spec),
        "interface": asdict(interface),
        "blocks": _blocks(spec, spec_cost(spec, interface), latency, taken),
        "profile": asdict(taken),
    }


def spec_blocks(spec: Spec, interface: Interface, device: Device, cache: Cache, folder: Path) -> list[dict[str, Any]]:
    """The `blocks` of `measure_blocks` for a spec.

    Raises:
        ExportError: It could not be exported.
        MeasureError: It could not be timed or profiled.
    """
    latency, taken = _latency_and_profile(device, spec, interface, cache, folder)
    return _blocks(spec, spec_cost(spec, interface), latency, taken)


def _latency_and_profile(
    device: Device, spec: Spec, interface: Interface, cache: Cache, folder: Path
) -> tuple[Latency, Profile]:
    key = keys.profile(spec, interface, device.identity)
    known = key.get(cache)
    if known is not None:
        return latency_from_json(known.get("latency")), _profile_from_json(known.get("profile"))
    with torch.random.fork_rng(devices=[]), scratch_folder(folder) as passing:
        file = exported(device, spec, interface, passing)
        latency = device.measure(file, folder, calibrated_seconds(device, interface, folder, cache), RECORD)
        taken = profile(device, file)
    if not latency.flags:
        key.put(cache, {"latency": asdict(latency), "profile": asdict(taken)})
    return latency, taken


def _profile_from_json(data: object) -> Profile:
    try:
        profile: Profile = read_json(Profile, data, "profile")
    except SpecError as error:
        raise StoreError(f"A stored profile holds the times of every run, but: {error}") from None
    return profile


def _blocks(spec: Spec, cost: Cost, latency: Latency, taken: Profile) -> list[dict[str, Any]]:
    modules, counted = parts(spec, cost), {"": (cost.params, cost.macs), **cost.by_module}
    rows = []
    for block in block_latencies(taken, modules, latency.latency_ms):
        macs = sum(counted[name][1] for name in modules[block.name])
        rows.append(
            {
                **asdict(block),
                "macs": macs,
                "macs_share": macs / cost.macs if cost.macs else None,
                "ms_per_mmac": block.latency_ms / macs * 1e6 if macs else None,
            }
        )
    return rows


def _result(model: str, latency: Latency, interface: Interface) -> dict[str, Any]:
    samples = {k: v for k, v in asdict(latency).items() if k.endswith(("_wall", "_cpu"))}
    return {
        "model": model,
        "latency_ms": latency.latency_ms,
        "ratio": latency.ratio,
        "spread": latency.spread,
        "clock": latency.clock,
        "pairs": len(latency.pair_ratios),
        "loads": max(1, len(latency.loads)),
        "flags": list(latency.flags),
        "attempts": latency.attempts,
        "reference": {
            "name": REFERENCE_NAME,
            "width": REFERENCE_WIDTH,
            "inputs": asdict(reference_interface(interface))["inputs"],
            "latency_ms": latency.calibrated * 1e3,
        },
        "conditions": dict(latency.conditions),
        "samples": samples,
    }

"""Timing of any model: a file, a spec, or a published network by name; as a whole, or block by block."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from paretonas.device import Device, ModelFile, parse_device
from paretonas.device.device import REFERENCE_NAME, REFERENCE_WIDTH
from paretonas.device.profile import Profile, block_latencies, parts, profile
from paretonas.errors import SpecError, StoreError, UsageError
from paretonas.evaluation.trained import RECORD, Cache, calibration, time_model
from paretonas.latency import Latency, latency_from_json
from paretonas.network import build
from paretonas.network.cost import Cost, spec_cost
from paretonas.space import Spec, load_spec, read_json, spec_hash, spec_to_json
from paretonas.zoo.zoo import ZOO, scaled_spec, zoo_entry, zoo_spec


def measure_model(
    model: str,
    device: str,
    cache: Cache,
    folder: Path,
    width: float = 1.0,
    resolution: int | None = None,
    classes: int = 1000,
    channels: int = 3,
    is_small_image: bool = False,
) -> dict[str, Any]:
    """Time `model` on `device`, one image at a time.

    Args:
        model: Path of an exported file or of a spec (`.json`), or a name of the zoo.
        device: As users write it.
        cache: Keeps the device's calibration.
        folder: For the reference network's file.
        width: Multiplier of the filters of a spec or zoo network.
        resolution: Side of the images; a file knows its own, a zoo network has a default.
        classes: Outputs of a spec or zoo network.
        channels: Of the images; a file knows its own.
        is_small_image: Give a zoo network the strides that searches use for small images.

    Returns:
        `latency_ms`, `ratio`, `spread`, `clock`, `pairs`, `loads`, `flags`, `attempts`, `reference`, `conditions` and
        `samples`.

    Raises:
        UsageError: No such file or network, or a file that the runtime does not take.
        MeasureError: It could not be timed.
    """
    chosen = parse_device(device)
    path = Path(model)
    if path.suffix in (".onnx", ".safetensors"):
        file = _model_file(path, chosen)
        shape = file.input_shape
        latency = chosen.measure(file, folder, calibration(chosen, shape, folder, cache), RECORD)
    else:
        spec, side = _spec(model, width, resolution, is_small_image)
        shape = (1, channels, side, side)
        latency = time_model(chosen, build(spec, classes, channels), spec, shape, folder, cache, RECORD)
    return _result(model, latency, shape)


def measure_blocks(
    model: str,
    device: str,
    cache: Cache,
    folder: Path,
    width: float = 1.0,
    resolution: int | None = None,
    classes: int = 1000,
    channels: int = 3,
    is_small_image: bool = False,
) -> dict[str, Any]:
    """Time `model` on `device` and say which of its parts take how much of the time.

    Latency and profile are cached together, so that they are taken once; what was taken on a busy machine is taken
    again.

    Args:
        model: Path of a spec (`.json`), or a name of the zoo.
        device: As users write it; this machine, with a runtime that has a profiler.
        cache: Keeps the device's calibration, latency and profile.
        folder: For the reference network's file.
        width: Multiplier of the filters.
        resolution: Side of the images; a zoo network has a default.
        classes: Outputs.
        channels: Of the images.
        is_small_image: Give a zoo network the strides that searches use for small images.

    Returns:
        What `measure_model` returns, with `spec`, `input_shape`, `classes`; `blocks`, each with `name`, `share` of the
        time, `latency_ms`, `macs`, `macs_share` and `ms_per_mmac` (milliseconds per million MACs, None without MACs);
        and `profile`: the raw times in seconds of whatever the runtime executed, and of doing nothing.

    Raises:
        UsageError: No such network, or a file: it does not say of which blocks it was made.
        ExportError: It could not be exported.
        MeasureError: It could not be timed or profiled.
    """
    if Path(model).suffix in (".onnx", ".safetensors"):
        raise UsageError(f"Blocks are those of a spec (.json) or of a network of the zoo, but got the file {model}.")
    spec, side = _spec(model, width, resolution, is_small_image)
    shape = (1, channels, side, side)
    latency, taken = _latency_and_profile(parse_device(device), spec, classes, shape, cache, folder)
    return {
        **_result(model, latency, shape),
        "spec": spec_to_json(spec),
        "input_shape": list(shape),
        "classes": classes,
        "blocks": _blocks(spec, spec_cost(spec, side, classes, channels), latency, taken),
        "profile": asdict(taken),
    }


def spec_blocks(
    spec: Spec, device: Device, cache: Cache, folder: Path, input_shape: tuple[int, ...], classes: int
) -> list[dict[str, Any]]:
    """The `blocks` of `measure_blocks` for a spec.

    Raises:
        ExportError: It could not be exported.
        MeasureError: It could not be timed or profiled.
    """
    latency, taken = _latency_and_profile(device, spec, classes, input_shape, cache, folder)
    return _blocks(spec, spec_cost(spec, input_shape[2], classes, input_shape[1]), latency, taken)


def _latency_and_profile(
    device: Device, spec: Spec, classes: int, shape: tuple[int, ...], cache: Cache, folder: Path
) -> tuple[Latency, Profile]:
    key = {"spec": spec_hash(spec), "input_shape": list(shape), "classes": classes, **device.identity}
    known = cache.get("profile", key)
    if known is not None:
        return latency_from_json(known.get("latency")), _profile_from_json(known.get("profile"))
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory(prefix="paretonas-") as passing:
        torch.manual_seed(0)
        built = build(spec, classes, shape[1])
        file = device.export(built, spec, shape, Path(passing, "candidate"))
        device.verify(built, file)
        latency = device.measure(file, folder, calibration(device, shape, folder, cache), RECORD)
        taken = profile(device, file)
    if not latency.flags:
        cache.put("profile", key, {"latency": asdict(latency), "profile": asdict(taken)})
    return latency, taken


def _profile_from_json(data: object) -> Profile:
    try:
        found: Profile = read_json(Profile, data, "profile")
    except SpecError as error:
        raise StoreError(f"A stored profile holds the times of every run, but: {error}") from None
    return found


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


def _spec(model: str, width: float, resolution: int | None, is_small_image: bool) -> tuple[Spec, int]:
    path = Path(model)
    if model not in ZOO and path.suffix == ".json":
        return scaled_spec(load_spec(path), width), resolution or 224
    side = resolution or zoo_entry(model).resolution
    return zoo_spec(model, width, side if is_small_image else None), side


def _model_file(path: Path, device: Device) -> ModelFile:
    """The file with the shape that it was exported for."""
    if not path.exists():
        raise UsageError(f"A model is a file that exists, but there is no {path}.")
    if path.suffix != f".{device.runtime.format}":
        raise UsageError(f"The runtime of {device.name!r} takes .{device.runtime.format} files, but got {path.name!r}.")
    return ModelFile(path, device.runtime.input_shape(path))


def _result(model: str, latency: Latency, input_shape: tuple[int, ...]) -> dict[str, Any]:
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
            "input_shape": [1, *input_shape[1:]],
            "latency_ms": latency.calibrated * 1e3,
        },
        "conditions": dict(latency.conditions),
        "samples": samples,
    }

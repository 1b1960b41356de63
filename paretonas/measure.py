"""Timing of any model: a file, a spec, or a published network by name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from paretonas.device import Device, ModelFile, parse_device
from paretonas.device.device import REFERENCE_NAME, REFERENCE_SHAPE, REFERENCE_WIDTH
from paretonas.errors import UsageError
from paretonas.evaluate import RECORD, Cache, calibration, time_model
from paretonas.network import build
from paretonas.network.zoo import ZOO, scaled_spec, zoo_entry, zoo_spec
from paretonas.space import Spec, load_spec
from paretonas.trial import Latency


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
        `latency_ms`, `ratio`, `spread`, `clock`, `pairs`, `flags`, `attempts`, `reference`, `conditions`, `samples`.

    Raises:
        UsageError: No such file or network, or a file that the runtime does not take.
        MeasureError: It could not be timed.
    """
    chosen = parse_device(device)
    path = Path(model)
    if path.suffix in (".onnx", ".safetensors"):
        file = _model_file(path, chosen)
        latency = chosen.measure(file, folder, calibration(chosen, folder, cache), RECORD)
    else:
        spec, side = _spec(model, width, resolution, is_small_image)
        shape = (1, channels, side, side)
        latency = time_model(chosen, build(spec, classes, channels), spec, shape, folder, cache, RECORD)
    return _result(model, latency)


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


def _result(model: str, latency: Latency) -> dict[str, Any]:
    samples = {k: v for k, v in asdict(latency).items() if k.endswith(("_wall", "_cpu"))}
    return {
        "model": model,
        "latency_ms": latency.latency_ms,
        "ratio": latency.ratio,
        "spread": latency.spread,
        "clock": latency.clock,
        "pairs": len(latency.pair_ratios),
        "flags": list(latency.flags),
        "attempts": latency.attempts,
        "reference": {
            "name": REFERENCE_NAME,
            "width": REFERENCE_WIDTH,
            "input_shape": list(REFERENCE_SHAPE),
            "latency_ms": latency.calibrated * 1e3,
        },
        "conditions": dict(latency.conditions),
        "samples": samples,
    }

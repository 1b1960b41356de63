"""What a device's process is sent: counting and measuring a network, and its file. Nothing here learns: soon loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paretonas.device import Device, parse_device
from paretonas.device.timing import Protocol
from paretonas.files import scratch_folder
from paretonas.latency import Latency
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.operations import Operation, operations
from paretonas.space import Interface, spec_from_json


@dataclass(frozen=True)
class CountingJob:
    """All that is needed to count what a network costs.

    Args:
        spec: As JSON data.
        interface: What it is fed and gives.
    """

    spec: Mapping[str, Any]
    interface: Interface


def run_counting(job: CountingJob) -> dict[str, float]:
    """Build one network and count; apart from the search, as a network of somebody's may crash."""
    costs = spec_cost(spec_from_json(job.spec), job.interface).metrics()
    return {name: float(value) for name, value in costs.items()}


def run_listing(job: CountingJob) -> tuple[Operation, ...]:
    """Build one network and list what it executes; apart from the search, too."""
    return operations(spec_from_json(job.spec), job.interface)


@dataclass(frozen=True)
class MeasuringJob:
    """All that is needed to time an untrained network on a device.

    Args:
        spec: As JSON data.
        interface: What it is fed and gives.
        device: As users write it.
        folder: For the reference network's file, and for what is needed for a moment.
        calibrated: Seconds of the reference network on that device.
        protocol: How.
        seed: Of the weights.
        stem: Of the file that was made ahead, if any was.
    """

    spec: Mapping[str, Any]
    interface: Interface
    device: str
    folder: Path
    calibrated: float
    protocol: Protocol
    seed: int = 0
    stem: Path | None = None


def run_measuring(job: MeasuringJob) -> Latency:
    """Build, export, check and time one network; runs where its device is reached from.

    Raises:
        ExportError: It could not be exported, or the file disagrees with it.
        MeasureError: The file could not be timed.
    """
    spec, device = spec_from_json(job.spec), parse_device(job.device)
    with torch.random.fork_rng(devices=[]), scratch_folder(job.folder) as passing:
        torch.manual_seed(job.seed)
        model = build(spec, job.interface)
        file = None if job.stem is None else device.found(job.stem, job.interface)
        if file is None:
            file = device.export(model, spec, job.interface, passing / "candidate")
        device.verify(model, file)
        return device.measure(file, job.folder, job.calibrated, job.protocol)


@dataclass(frozen=True)
class ConvertingJob:
    """All that is needed to put an untrained network into a device's format; on any machine, as it has no paths.

    Args:
        spec: As JSON data.
        interface: What it is fed and gives.
        device: As users write it; it is not reached.
        seed: Of the weights.
    """

    spec: Mapping[str, Any]
    interface: Interface
    device: str
    seed: int = 0


def run_converting(job: ConvertingJob) -> bytes:
    """Build and export one network; the file's contents.

    Raises:
        ExportError: It could not be exported.
    """
    spec, device = spec_from_json(job.spec), parse_device(job.device)
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(job.seed)
        file = device.export(build(spec, job.interface), spec, job.interface, Path(folder) / "candidate")
        return file.path.read_bytes()


def device_text(device: Device) -> str:
    """A device as a job names it."""
    return f"{device.name}={device.text}" if device.name else device.text

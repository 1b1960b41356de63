"""A device is a runtime reached over a transport: `onnxruntime`, `onnxruntime:threads=4`, `torch@local`."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from paretonas.device.timing import Protocol, Samples, headline_flags
from paretonas.errors import DeviceError, ExportError, ParetonasError
from paretonas.export import exporters
from paretonas.latency import Latency
from paretonas.network import build
from paretonas.registry import Registry
from paretonas.space import Spec
from paretonas.zoo.zoo import zoo_spec

runtimes = Registry(
    "runtime",
    {
        "onnxruntime": "paretonas.device.runtime.onnxruntime:OnnxRuntime",
        "torch": "paretonas.device.runtime.torch:TorchRuntime",
    },
)
transports = Registry("transport", {"local": "paretonas.device.transport.local:LocalTransport"})

Images = NDArray[np.float32]
LoadedModel = Callable[[Images], Images]
"""Runs a batch (N, C, H, W) and returns the outputs (N, classes)."""

REFERENCE_NAME, REFERENCE_WIDTH, REFERENCE_CLASSES = "mobilenet-v2", 0.5, 10
"""The reference network of every device: MobileNetV2 at half width, for images as the candidate takes them."""


CALIBRATIONS = 3


@dataclass(frozen=True)
class ModelFile:
    """An exported network.

    Args:
        path: The file.
        input_shape: (N, C, H, W) of one run.
    """

    path: Path
    input_shape: tuple[int, ...]


class Runtime(ABC):
    """An inference engine. A subclass is a frozen dataclass whose fields are its options.

    Attributes:
        format: Name of the export format that it runs.
    """

    format: ClassVar[str]

    @abstractmethod
    def version(self) -> str:
        """Version of the engine."""

    @abstractmethod
    def open(self, path: Path) -> LoadedModel:
        """Load a file.

        Raises:
            MeasureError: The engine does not take it.
        """

    @abstractmethod
    def input_shape(self, path: Path) -> tuple[int, ...]:
        """Shape (1, C, H, W) of the images that a file takes.

        Raises:
            MeasureError: The engine does not take it, or its input is not one batch of images.
        """

    @abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """Options that the latency depends on; `threads` among them."""

    @property
    def clock(self) -> str:
        """Which clock the headline is read from: one thread on a CPU is judged by its CPU time."""
        return "cpu" if self.conditions()["threads"] == 1 else "wall"


class Transport(ABC):
    """Where a runtime runs. A subclass is a frozen dataclass whose first field is its address.

    Attributes:
        is_here: Whether it is this machine, where measuring and training must not overlap.
    """

    is_here: ClassVar[bool]

    @abstractmethod
    def measure(self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol) -> Samples:
        """Run both in alternation.

        Raises:
            MeasureError: It could not be done.
        """

    @abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """The machine: CPU and the like, date and load."""


@dataclass(frozen=True)
class Device:
    """A runtime reached over a transport.

    Args:
        name: As the user wrote it.
        runtime: The engine.
        transport: Where it runs.
    """

    name: str
    runtime: Runtime
    transport: Transport

    @property
    def identity(self) -> dict[str, Any]:
        """What a stored latency or calibration is valid for."""
        machine = {k: v for k, v in self.transport.conditions().items() if k in ("cpu", "machine")}
        parts = {"runtime": repr(self.runtime), "transport": repr(self.transport)}
        return {**parts, "version": self.runtime.version(), **self.runtime.conditions(), **machine}

    def export(self, model: nn.Module, spec: Spec, input_shape: tuple[int, ...], stem: Path) -> ModelFile:
        """Write `model` in the format of the runtime, at `stem` plus the format's suffix."""
        path = stem.with_name(f"{stem.name}.{self.runtime.format}")
        path.parent.mkdir(parents=True, exist_ok=True)
        exporters.load(self.runtime.format)(model, spec, input_shape, path)
        return ModelFile(path, input_shape)

    def reference(self, folder: Path, input_shape: tuple[int, ...]) -> ModelFile:
        """The reference network for images of a candidate's (N, C, H, W), as a file in `folder`, written once.

        It runs one image, as large as the candidate's: a slow host slows networks of another size differently.
        """
        shape = (1, *input_shape[1:])
        path = folder / f"reference-{'x'.join(map(str, shape[1:]))}.{self.runtime.format}"
        if not path.exists():
            spec = zoo_spec(REFERENCE_NAME, REFERENCE_WIDTH, min(shape[2:]))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = build(spec, REFERENCE_CLASSES, shape[1])
            draft = self.export(model, spec, shape, folder / f"draft-{path.stem}")
            draft.path.replace(path)
        return ModelFile(path, shape)

    def calibrate(self, folder: Path, input_shape: tuple[int, ...], protocol: Protocol) -> Latency:
        """The reference network for images of `input_shape` timed against itself.

        Of three times the fastest with the fewest flags, as hosts have slow seconds. To be stored: one value for a
        device and a shape, so that numbers compare over days.

        Returns:
            A latency whose `calibrated` is the median of all its runs on the headline's clock, in seconds.
        """
        reference = self.reference(folder, input_shape)
        found = [self._calibrate_once(reference, folder, protocol) for _ in range(CALIBRATIONS)]
        return min(found, key=lambda latency: (len(latency.flags), latency.calibrated))

    def _calibrate_once(self, reference: ModelFile, folder: Path, protocol: Protocol) -> Latency:
        latency = self.measure(reference, folder, None, protocol)
        return replace(latency, calibrated=statistics.median(latency.candidate + latency.reference))

    def measure(self, candidate: ModelFile, folder: Path, calibrated: float | None, protocol: Protocol) -> Latency:
        """Time `candidate` against the reference; a flagged measurement is repeated and the least flagged one kept.

        Args:
            candidate: In the runtime's format.
            folder: Where the reference's file is kept.
            calibrated: What `calibrate` gave once for this device, in seconds; None while it does.
            protocol: How.

        Raises:
            MeasureError: It could not be done.
        """
        found: list[tuple[tuple[str, ...], Samples]] = []
        reference = self.reference(folder, candidate.input_shape)
        conditions = {**self.transport.conditions(), **self.runtime.conditions()}
        while not found or (found[-1][0] and len(found) < protocol.attempts):
            if found and "slowed" in found[-1][0]:
                time.sleep(protocol.pause * 2 ** (len(found) - 1))
            samples = self.transport.measure(self.runtime, candidate, reference, protocol)
            found.append((headline_flags(samples, self.runtime.clock, protocol, calibrated), samples))
        flags, samples = min(found, key=lambda attempt: len(attempt[0]))
        return Latency(
            candidate_wall=samples.candidate_wall,
            candidate_cpu=samples.candidate_cpu,
            reference_wall=samples.reference_wall,
            reference_cpu=samples.reference_cpu,
            loads=samples.loads,
            calibrated=1.0 if calibrated is None else calibrated,
            clock=self.runtime.clock,
            conditions={"device": self.name, "version": self.runtime.version(), **conditions},
            flags=flags,
            attempts=len(found),
        )

    def verify(self, model: nn.Module, file: ModelFile, tolerance: float = 1e-3) -> float:
        """Compare the file, run on this machine, with the model it was exported from.

        Args:
            model: Is put in evaluation mode.
            file: Exported from it.
            tolerance: Largest difference allowed, relative to the largest output.

        Returns:
            The largest difference relative to the largest output.

        Raises:
            ExportError: The difference exceeds the tolerance.
        """
        x = np.random.default_rng(0).standard_normal(file.input_shape, np.float32)
        with torch.inference_mode():
            expected = model.eval()(torch.from_numpy(x)).numpy()
        found = self.runtime.open(file.path)(x)
        if found.shape != expected.shape:
            raise ExportError(f"{file.path.name} gives outputs of shape {found.shape}, the model of {expected.shape}.")
        difference = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30))
        if not difference <= tolerance:
            raise ExportError(
                f"An exported file agrees with its model within {tolerance:g} of the largest output, but "
                f"{file.path.name} differs by {difference:.2g}. Please report this with the spec."
            )
        return difference


def parse_device(text: str) -> Device:
    """A device from `runtime[:options][@transport[:address]]`; the transport is `local` if none is given.

    Raises:
        DeviceError: Not of that form, or an unknown name or option.

    >>> parse_device("onnxruntime:threads=2").runtime.conditions()["threads"]
    2
    """
    engine, at, place = text.strip().partition("@")
    if not engine or (at and not place):
        raise DeviceError(f"A device is written runtime[:options][@transport:address], but got {text!r}.")
    name, _, address = (place or "local").partition(":")
    try:
        runtime = runtimes.create(engine)
        transport = transports.load(name)(*([address] if address else []))
    except ParetonasError as error:
        raise DeviceError(f"In the device {text!r}: {error}") from None
    except TypeError:
        raise DeviceError(f"The transport {name!r} does not take the address {address!r} of {text!r}.") from None
    return Device(text.strip(), runtime, transport)

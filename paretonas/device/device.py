"""A device is a runtime reached over a transport: `onnxruntime`, `torch:threads=4@local`, `pi=onnxruntime@local`."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from paretonas.device.calibration import reference
from paretonas.device.contract import Runtime, Transport
from paretonas.device.timing import Protocol, Samples, headline_clock, headline_flags, joined
from paretonas.errors import DeviceError
from paretonas.export import (
    Arrays,
    Format,
    LoadedModel,
    ModelFile,
    example_inputs,
    formats,
    quantizers,
    verify,
)
from paretonas.export.export import NOTHING
from paretonas.export.quantizer import Quantizer
from paretonas.files import refusals, scratch_folder
from paretonas.latency import Latency
from paretonas.registry import Registry
from paretonas.space import Interface, Spec

runtimes = Registry(
    "runtime",
    {
        "ncnn": "paretonas.device.runtime.ncnn:Ncnn",
        "executorch": "paretonas.device.runtime.executorch:ExecuTorch",
        "litert": "paretonas.device.runtime.litert:LiteRt",
        "onnxruntime": "paretonas.device.runtime.onnxruntime:OnnxRuntime",
        "openvino": "paretonas.device.runtime.openvino:OpenVino",
        "torch": "paretonas.device.runtime.torch:TorchRuntime",
    },
)
transports = Registry(
    "transport",
    {
        "local": "paretonas.device.transport.local:LocalTransport",
        "ssh": "paretonas.device.transport.ssh:SshTransport",
        "agent": "paretonas.device.transport.agent:AgentTransport",
        "adb": "paretonas.device.transport.adb:AdbTransport",
    },
)


NOISES = 8
"""Examples on which a network is calibrated that is only timed."""


@dataclass(frozen=True)
class Device:
    """A runtime reached over a transport.

    Args:
        name: The user's short name for it: letters, digits, `-` and `_`; "" if it has none.
        text: As the user wrote it, without the name.
        runtime: The engine.
        transport: Where it runs.

    Raises:
        DeviceError: A name with other characters.
    """

    name: str
    text: str
    runtime: Runtime
    transport: Transport

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]*", self.name):
            raise DeviceError(f"A device's name has letters, digits, '-' and '_', but got {self.name!r}.")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What stays true of the device, whoever asks: engine version, threads, CPU."""
        return {**self.transport.identify(self.runtime), **self.runtime.conditions()}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a stored latency or calibration is valid for."""
        return {"runtime": repr(self.runtime), "transport": self.transport.machine, **self.facts}

    def path(self, stem: Path) -> Path:
        """Of a file of that stem: it says its precision, where that is not the usual one, and its format."""
        return stem.with_name(f"{stem.name}{self.kind}{self._format.suffix}")

    @property
    def is_converted_ahead(self) -> bool:
        """Whether a search makes files before the device's turn: it is elsewhere, or they take long."""
        return self.transport.machine != "here" or self._format.is_slow

    @property
    def kind(self) -> str:
        """What tells its files from the format's usual ones; two devices of one kind share them."""
        options = self.runtime.quantization
        if options is None:
            return ""
        kept = hashlib.sha256("+".join(options.keep).encode()).hexdigest()[:6]
        return f"-int8-keep-{kept}" if options.keep else "-int8"

    def found(self, stem: Path, interface: Interface) -> ModelFile | None:
        """The file of that stem, if it was exported before."""
        path = self.path(stem)
        if not path.exists():
            return None
        return ModelFile(path, interface) if self.runtime.quantization is None else ModelFile(path, interface, "int8")

    def export(
        self,
        model: nn.Module,
        spec: Spec,
        interface: Interface,
        stem: Path,
        metadata: Mapping[str, Any] = NOTHING,
        examples: Sequence[Arrays] = (),
    ) -> ModelFile:
        """Write `model` in the format and the precision of the runtime.

        Args:
            model: Built from `spec`.
            spec: Of the model.
            interface: Of the model.
            stem: Of the file; see `path`.
            metadata: JSON data that the file is to say of itself.
            examples: What a network of int8 is calibrated on. Without any it sees noise and is not checked, which is
                enough to time it.

        Raises:
            ExportError: It cannot be put into that format, or not into int8 without losing all.
            MachineError: The system refuses to write.
        """
        path, options = self.path(stem), self.runtime.quantization
        with refusals(f"{path.parent} cannot be made"):
            path.parent.mkdir(parents=True, exist_ok=True)
        if options is None:
            self._format.write(model, spec, interface, path, metadata)
            return ModelFile(path, interface)
        quantizer: Quantizer = quantizers.load(self.runtime.format)
        seen = examples or [example_inputs(interface, seed) for seed in range(NOISES)]
        with scratch_folder(path.parent) as passing:  # no float file ever bears the name of an int8 one
            plain = passing / f"float{self._format.suffix}"
            self._format.write(model, spec, interface, plain, metadata)
            quantizer.write(quantizer.calibrate(plain, seen, options), path, (), bool(examples))
        return ModelFile(path, interface, "int8")

    def open(self, file: ModelFile) -> LoadedModel:
        """What runs one example of the file on the device.

        Raises:
            MeasureError: The device does not take it.
        """
        return self.transport.open(self.runtime, file)

    def verify(self, model: nn.Module, file: ModelFile) -> float:
        """Compare the file, run on the device, with the model it was exported from.

        Returns:
            The largest difference relative to the largest output.

        Raises:
            ExportError: The difference exceeds the runtime's tolerance.
            MeasureError: The device does not run it.
        """
        return verify(model, self.open(file), file, self.runtime.tolerance)

    def measure(self, candidate: ModelFile, folder: Path, calibrated: float | None, protocol: Protocol) -> Latency:
        """Time `candidate` against the reference; a flagged measurement is repeated.

        The least flagged one is kept, together with those that are flagged as it is: what disturbs for a while averages
        out, which half a second of one measurement does not.

        Args:
            candidate: In the runtime's format.
            folder: Where the reference's file is kept.
            calibrated: What `calibrate` gave once for this device, in seconds; None while it does.
            protocol: How.

        Raises:
            MeasureError: It could not be done.
        """
        found: list[tuple[tuple[str, ...], Samples, Mapping[str, Any]]] = []
        files = candidate, reference(self, folder, candidate.interface)
        while not found or (found[-1][0] and len(found) < protocol.attempts):
            if found and "slowed" in found[-1][0]:
                time.sleep(protocol.pause * 2 ** (len(found) - 1))
            samples, moment = self.transport.measure(self.runtime, *files, protocol)
            found.append((headline_flags(samples, self.runtime.clock, protocol, calibrated), samples, moment))
        flags, _, moment = min(found, key=lambda attempt: len(attempt[0]))
        samples = joined([samples for others, samples, _ in found if others == flags])
        return Latency(
            candidate_wall=samples.candidate_wall,
            candidate_cpu=samples.candidate_cpu,
            reference_wall=samples.reference_wall,
            reference_cpu=samples.reference_cpu,
            loads=samples.loads,
            calibrated=1.0 if calibrated is None else calibrated,
            clock=headline_clock(samples, self.runtime.clock),
            conditions={"device": self.text, **self.facts, **moment},
            flags=(*flags, "summary-only") if samples.is_summary else flags,
            attempts=len(found),
        )

    @property
    def _format(self) -> Format:
        found: Format = formats.create(self.runtime.format)
        return found

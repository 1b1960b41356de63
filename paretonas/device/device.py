"""A device is a runtime reached over a transport: `onnxruntime`, `torch:threads=4@local`, `pi=onnxruntime@local`."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from paretonas.device.calibration import reference
from paretonas.device.timing import Clock, Protocol, Samples, headline_clock, headline_flags
from paretonas.errors import DeviceError
from paretonas.export import Format, LoadedModel, ModelFile, Precision, formats, verify
from paretonas.files import refusals
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


class Runtime(ABC):
    """An inference engine. A subclass is a frozen dataclass whose fields are its options.

    Attributes:
        format: Name of the export format that it runs.
        engine: The module of `device/engine` that loads and runs its files, which can be sent to where the device is;
            "" for one that runs where paretonas is installed.
    """

    format: ClassVar[str]
    engine: ClassVar[str] = ""

    @abstractmethod
    def version(self) -> str:
        """Version of the engine on this machine."""

    @abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """Options that the latency depends on; `threads` among them."""

    @abstractmethod
    def load(self, path: Path) -> LoadedModel:
        """Load a file.

        Returns:
            What runs one example; it raises a MeasureError where the engine does not take the arrays.

        Raises:
            MeasureError: The engine does not take the file.
        """

    @abstractmethod
    def interface(self, path: Path) -> Interface:
        """What a file takes and gives, read from the file.

        Raises:
            MeasureError: The engine does not take it, or it is not fed one example of fixed shapes.
        """

    @property
    def clock(self) -> Clock:
        """Which clock the headline is read from.

        One thread on a CPU is judged by its CPU time, anything else by the wall clock. An engine that keeps helper
        threads beside the caller's answers "process" instead of "thread"; one that computes elsewhere, "wall".
        """
        return "thread" if self.conditions()["threads"] == 1 else "wall"

    @property
    def precision(self) -> Precision:
        """Of the numbers that its files hold."""
        return "float32"

    @property
    def tolerance(self) -> float:
        """Largest difference of any output between a file and its model, relative to the largest output.

        That of the format; an engine that computes in a lower precision than its files have allows more.
        """
        written: Format = formats.create(self.format)
        return written.tolerance


@dataclass(frozen=True)
class AppRuns:
    """A model as an app sees it: in a process of its own, with pauses between its runs.

    Args:
        load: Seconds to load it.
        first: Of the first run.
        wall: Of each run after it, on the wall clock.
        rss: Bytes of the process at most; None where the system does not tell.
        rss_before: Before it was loaded.
        conditions: Of the moment.
    """

    load: float
    first: float
    wall: tuple[float, ...]
    rss: int | None = None
    rss_before: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)


class Transport(ABC):
    """Where a runtime runs. A subclass is a frozen dataclass: first `address` if it takes one, then its options."""

    @property
    @abstractmethod
    def machine(self) -> str:
        """The machine that it measures on, "here" for this one. What is busy on one machine excludes each other."""

    @abstractmethod
    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        """What stays true of the device, asked where it is: `version` of the engine, `cpu`, `machine` (architecture).

        Raises:
            MeasureError: It cannot be reached, or has no such engine.
        """

    @abstractmethod
    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        """Run both in alternation.

        Returns:
            The times, and the conditions of the moment: `core`, `load`, `date`.

        Raises:
            MeasureError: It could not be done.
        """

    @abstractmethod
    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        """Load a file in a fresh process and run it every so many seconds.

        Raises:
            MeasureError: It could not be done.
        """

    @abstractmethod
    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        """Load a file of this machine on the device.

        Raises:
            MeasureError: It could not be done.
        """


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

    def export(self, model: nn.Module, spec: Spec, interface: Interface, stem: Path) -> ModelFile:
        """Write `model` in the format of the runtime, at `stem` plus the format's suffix.

        Raises:
            ExportError: It cannot be put into that format.
            MachineError: The system refuses to write.
        """
        path = stem.with_name(f"{stem.name}{self._format.suffix}")
        with refusals(f"{path.parent} cannot be made"):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._format.write(model, spec, interface, path)
        return ModelFile(path, interface)

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
        """Time `candidate` against the reference; a flagged measurement is repeated and the least flagged one kept.

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
        flags, samples, moment = min(found, key=lambda attempt: len(attempt[0]))
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

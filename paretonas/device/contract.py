"""What runtimes and transports are: the contracts of what a device is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from paretonas.device.timing import Clock, Protocol, Samples
from paretonas.errors import DeviceError
from paretonas.export import Format, LoadedModel, ModelFile, Precision, formats
from paretonas.export.quantize import Quantization
from paretonas.space import Interface

INT8_TOLERANCE = 1.0
"""Of what is quantized, relative to the largest output: what errs by more computes something else."""


def check_threads(threads: int) -> None:
    """Whether a runtime can have as many.

    Raises:
        DeviceError: It cannot.
    """
    if not 1 <= threads <= 1024:
        raise DeviceError(f"`1 <= threads <= 1024` must hold, but got (threads={threads}).")


def check_keep(keep: Sequence[str], precision: Precision) -> None:
    """Whether parts of a network can stay in float.

    Raises:
        DeviceError: All of it does.
    """
    if keep and precision != "int8":
        raise DeviceError(f"What stays in float is of precision=int8, but got (keep={'+'.join(keep)}) alone.")


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
    def quantization(self) -> Quantization | None:
        """How its files become int8; None: they do not."""
        return None

    @property
    def of_reference(self) -> Runtime:
        """Likewise for the reference network, without what is said of parts of a candidate."""
        return self

    @property
    def tolerance(self) -> float:
        """Largest difference of any output between a file and its model, relative to the largest output.

        That of the format; an engine that computes in a lower precision than its files have allows more, and what is
        quantized is judged by its score.
        """
        written: Format = formats.create(self.format)
        return written.tolerance if self.quantization is None else INT8_TOLERANCE


@dataclass(frozen=True)
class AppRuns:
    """A model as an app sees it: in a process of its own, with pauses between its runs.

    Args:
        load: Seconds to load it.
        first: Of the first run.
        wall: Of each run after it, on the wall clock.
        rss: Bytes of the process at most; None where the system does not tell.
        rss_before: Before it was loaded.
        joules: That the device used during the runs of `wall`, pauses and all that ran beside included; None where it
            does not tell.
        conditions: Of the moment.
    """

    load: float
    first: float
    wall: tuple[float, ...]
    rss: int | None = None
    rss_before: int | None = None
    joules: float | None = None
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

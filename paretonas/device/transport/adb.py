"""A phone on `adb`: a small native runner and the engine's library are pushed there and do what paretonas would."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from paretonas.device.contract import AppRuns, Runtime, Transport
from paretonas.device.lock import measuring_lock
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.adb_benchmark import measure_by_benchmark
from paretonas.device.transport.adb_link import Adb
from paretonas.device.transport.adb_phone import Phone, Settings
from paretonas.errors import DeviceError
from paretonas.export import Arrays, LoadedModel, ModelFile

MOST_BYTES = 64 << 20
"""Of a file of examples."""


@dataclass(frozen=True)
class AdbTransport(Transport):
    """A phone on `adb`, over USB or the network. Needs a runner and an engine's library built for it.

    Args:
        address: The phone's serial, as `adb devices` lists it, or `host:port`.
        runner: Path of the runner, built for the phone from `paretonas/device/native`.
        library: Path of the engine's shared library for the phone.
        benchmark_binary: Path of TensorFlow Lite's `benchmark_model` for the phone, to time with it instead. It tells
            the fastest of several runs alone, so the reference runs before and after every candidate.
        adb: The command, or its path.
        folder: There, for what is pushed.
        cores: Mask of the cores to run on in hexadecimal, `f0` for the cores 4 to 7; "": the fastest ones. What is
            judged by its CPU time runs on the last of them.
        celsius: A measurement waits while the phone's hottest part is hotter.
        cooldown: Seconds that it waits at most.
        keep: Gigabytes of files that are kept there; those that were not used for the longest time go first.
        retries: How often a lost connection is mended before the session ends; it can be resumed.
        timeout: Seconds that one measurement may take, or one file on its way.

    Raises:
        DeviceError: No serial, or a value out of range.
    """

    address: str = ""
    runner: str = ""
    library: str = ""
    benchmark_binary: str = ""
    adb: str = "adb"
    folder: str = "/data/local/tmp/paretonas"
    cores: str = ""
    celsius: float = 60.0
    cooldown: float = 60.0
    keep: float = 1.0
    retries: int = 2
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\s-]\S*", self.address) or not self.address.isprintable():
            raise DeviceError(
                f"A phone is written adb:SERIAL, with a serial of `adb devices`, but got the address {self.address!r}."
            )
        if not self.folder.startswith("/") or not self.folder.isprintable():
            raise DeviceError(f"`folder` is an absolute path on the phone, but got {self.folder!r}.")
        if self.cores and not re.fullmatch(r"0*[1-9a-fA-F][0-9a-fA-F]{0,11}", self.cores):
            raise DeviceError(f"`cores` is a mask in hexadecimal such as f0, but got {self.cores!r}.")
        is_few = 0 <= self.retries <= 100 and 0 <= self.cooldown <= 3600 and self.keep > 0
        if not (is_few and 1 <= self.timeout <= 86400):
            raise DeviceError(
                "`0 <= retries <= 100`, `0 <= cooldown <= 3600`, `keep > 0` and `1 <= timeout <= 86400` must hold, "
                f"but got ({self.retries}, {self.cooldown:g}, {self.keep:g}, {self.timeout:g})."
            )

    @property
    def machine(self) -> str:
        return f"adb:{self.address}"

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        return self._link.steadily(partial(self._phone.identify, runtime))

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        phone, files = self._phone, (candidate, reference)
        measure = partial(measure_by_benchmark, phone) if self.benchmark_binary else phone.measure
        with measuring_lock(self.machine):
            return self._link.steadily(partial(measure, runtime, files, protocol))

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        with measuring_lock(self.machine):
            return self._link.steadily(partial(self._phone.run_as_app, runtime, file, runs, every))

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        if self.benchmark_binary and not self.library:  # that program gives no outputs
            return runtime.load(file.path)
        return PhoneModel(self, runtime, file)

    def run(self, runtime: Runtime, file: ModelFile, examples: Sequence[Arrays]) -> list[Arrays]:
        """Run examples, one or more, in one process on the phone.

        Raises:
            MeasureError: The engine does not take the file or the arrays.
            MachineError: The phone is gone.
        """
        return self._link.steadily(partial(self._phone.run, runtime, file, examples))

    @property
    def _link(self) -> Adb:
        return Adb(self.adb, self.address, self.retries)

    @property
    def _phone(self) -> Phone:
        settings = Settings(
            self.runner, self.library, self.benchmark_binary, self.folder, self.cores,
            self.celsius, self.cooldown, self.keep, self.timeout,
        )  # fmt: skip
        return Phone(self._link, settings)


@dataclass(frozen=True)
class PhoneModel:
    """Runs one example of a file on a phone, or several at once, which is much faster than one after the other."""

    transport: AdbTransport
    runtime: Runtime
    file: ModelFile

    def __call__(self, inputs: Arrays) -> Arrays:
        """One example."""
        return self.many([inputs])[0]

    def many(self, examples: Sequence[Arrays]) -> list[Arrays]:
        """Several, as many as go into one file in one process there."""
        size = max(sum(array.nbytes for array in examples[0]), 1) if examples else 1
        at_once = max(1, MOST_BYTES // size)
        batches = [examples[i : i + at_once] for i in range(0, len(examples), at_once)]
        return [found for batch in batches for found in self.transport.run(self.runtime, self.file, batch)]

"""A device that is asked by messages: what SSH and the agent share.

A request may be made again: files are kept by their digests, and a measurement that was cut is measured anew. So what
a lost connection costs is time, until `patience` is used up; then the session ends and loses nothing.
"""

from __future__ import annotations

import hashlib
import sys
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from paretonas.device.contract import AppRuns, Runtime
from paretonas.device.lock import measuring_lock
from paretonas.device.runner.host import APP
from paretonas.device.runner.wire import Message
from paretonas.device.timing import Protocol, Samples
from paretonas.errors import DeviceError, MachineError, MeasureError, SpecError
from paretonas.export import Arrays, LoadedModel, ModelFile, example_inputs
from paretonas.space import read_json

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class LinkError(Exception):
    """A connection that could not be made, was cut, or took too long; it may be there again soon."""


class Link(typing.Protocol):
    """A connection to a device's runner."""

    def ask(self, message: Message) -> Message:
        """What the device answers.

        Raises:
            LinkError: The connection is lost.
            DeviceError: It will never be one: a wrong key, no such host, no Python.
        """
        ...

    def close(self) -> None:
        """End the connection; a lost one too."""
        ...


class Remote:
    """A device behind links, one at a time.

    Args:
        machine: Its name, for messages and for the lock of measurements.
        connect: Makes a link.
        patience: Seconds that it is waited for when it is gone.
        limit: Seconds that one answer may take.
    """

    def __init__(self, machine: str, connect: Callable[[], Link], patience: float, limit: float):
        self._machine, self._connect, self._patience, self._limit = machine, connect, patience, limit
        self._link: Link | None = None
        self._has_served = False

    def close(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        """See `Transport`."""
        told = self._ask(Message({"ask": "identify", **_engine(runtime, self._machine)})).head
        if not all(isinstance(told.get(name), str) for name in ("version", "cpu", "machine")):
            raise MeasureError(f"{self._machine} tells version, cpu and machine, but it told {str(told)[:200]}.")
        return {name: told[name] for name in ("version", "cpu", "machine")}

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        """See `Transport`."""
        inputs = [example_inputs(file.interface) for file in (candidate, reference)]
        asked = {
            "ask": "measure", **_engine(runtime, self._machine), "clock": runtime.clock, "protocol": asdict(protocol),
            "inputs": len(inputs[0]),
        }  # fmt: skip
        with measuring_lock(self._machine):
            names = {"candidate": self._put(candidate), "reference": self._put(reference)}
            told = self._ask(Message({**asked, **names}, (*inputs[0], *inputs[1]))).head
        try:
            samples: Samples = read_json(Samples, told.get("samples"), "samples")
            conditions: Mapping[str, Any] = read_json(Mapping[str, Any], told.get("conditions"), "conditions")
        except SpecError as error:
            raise MeasureError(f"{self._machine} tells the times of every run, but: {error}") from None
        _check(samples, protocol, self._machine)
        return samples, conditions

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        """See `Transport`."""
        head = {"ask": "run", **_engine(runtime, self._machine), "file": self._put(file)}

        def run(inputs: Arrays) -> Arrays:
            return self._ask(Message(head, inputs)).arrays

        run(example_inputs(file.interface))  # what cannot be loaded shows here
        return run

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        """See `Transport`."""
        if runs * every >= self._limit:
            raise MeasureError(
                f"An answer of {self._machine} takes {self._limit:g} s at most, but {runs} runs every {every:g} s take "
                "longer. Ask for fewer, or give the device a longer timeout."
            )
        asked = {**_engine(runtime, self._machine), "file": self._put(file), "runs": runs, "every": every}
        told = self._ask(Message({"ask": APP, **asked}, example_inputs(file.interface))).head
        try:
            found: AppRuns = read_json(AppRuns, told, "runs")
        except SpecError as error:
            raise MeasureError(f"{self._machine} tells the times of every run, but: {error}") from None
        if len(found.wall) != runs or not all(0 < value < 1e5 for value in (found.load, found.first, *found.wall)):
            raise MeasureError(f"{self._machine} tells a time above 0 for each of {runs} runs, but it did not.")
        return found

    def _put(self, file: ModelFile) -> str:
        """A file's name on the device; it is sent unless it is there."""
        data = file.path.read_bytes()
        name = f"{hashlib.sha256(data).hexdigest()}{file.path.suffix}"
        if not self._ask(Message({"ask": "has", "file": name})).head.get("has"):
            self._ask(Message({"ask": "put", "file": name}, body=data))
        return name

    def _ask(self, message: Message) -> Message:
        """The answer, over as many links as it takes.

        Raises:
            MeasureError: The device cannot do it.
            MachineError: The device's system refuses, or it is gone for longer than is waited.
        """
        since, pause, is_fresh = time.monotonic(), FIRST_PAUSE, self._link is None
        while True:
            try:
                if self._link is None:
                    self._link = self._connect()
                answer = self._link.ask(message)
                self._has_served = True
                break
            except (LinkError, DeviceError) as error:
                self.close()
                if isinstance(error, DeviceError) and not self._has_served:
                    raise
                if not is_fresh:  # it was kept for long, and may have been ended for that
                    is_fresh = True
                    continue
                left = self._patience - (time.monotonic() - since)
                if left <= 0:
                    raise MachineError(
                        f"{self._machine} is unavailable for {self._patience:g} s: {error}. Go on when it is back."
                    ) from error
                sys.stderr.write(f"{self._machine} is gone ({error}); trying again in {min(pause, left):.0f} s.\n")
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
        kind, text = answer.head.get("error"), str(answer.head.get("text"))
        if kind is not None:
            raise (MachineError if kind == "MachineError" else MeasureError)(f"On {self._machine}: {text}")
        return answer


def check_waiting(patience: float, timeout: float) -> None:
    """Whether a device can be waited for so long.

    Raises:
        DeviceError: It cannot.
    """
    if not (0 <= patience <= 1e6 and 1 <= timeout <= 1e6):
        raise DeviceError(
            f"`0 <= patience <= 1e6` and `1 <= timeout <= 1e6` must hold, but got (patience={patience:g}, "
            f"timeout={timeout:g})."
        )


def _engine(runtime: Runtime, machine: str) -> dict[str, Any]:
    """Which engine a runtime is, and its options.

    Raises:
        DeviceError: One that runs only where paretonas is installed.
    """
    if not runtime.engine:
        raise DeviceError(
            f"What runs on {machine} in a process of its own is an engine that can be sent there, but "
            f"{type(runtime).__name__} runs only within paretonas. Use onnxruntime."
        )
    plain = {name: value for name, value in asdict(runtime).items() if isinstance(value, int | float | str)}
    return {"engine": runtime.engine, "options": plain}


def _check(samples: Samples, protocol: Protocol, machine: str) -> None:
    """Whether times are those of a protocol."""
    rows = samples.candidate_wall, samples.candidate_cpu, samples.reference_wall, samples.reference_cpu
    are_times = all(0 < value < 1e5 for row in rows for value in row)
    if {len(row) for row in rows} != {protocol.pairs} or samples.loads != protocol.portions or not are_times:
        raise MeasureError(f"{machine} tells a time above 0 for each of {protocol.pairs} runs, but it did not.")

"""This machine: models run in this process, pinned to one core, one measurement at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from paretonas.device.device import Runtime, Transport
from paretonas.device.lock import measuring_lock
from paretonas.device.timing import Protocol, Run, Samples, time_pairs
from paretonas.export import LoadedModel, ModelFile, example_inputs


@dataclass(frozen=True)
class LocalTransport(Transport):
    """This machine. Takes no address."""

    @property
    def machine(self) -> str:
        return "here"

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        return {"version": runtime.version(), "cpu": processor(), "machine": platform.machine()}

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        with quiet_core(runtime) as conditions:
            samples = time_pairs(
                partial(_load, runtime, candidate), partial(_load, runtime, reference), protocol, clock=runtime.clock
            )
        return samples, conditions

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        return runtime.load(file.path)


def _load(runtime: Runtime, file: ModelFile) -> Run:
    return partial(runtime.load(file.path), example_inputs(file.interface))


@contextmanager
def quiet_core(runtime: Runtime) -> Iterator[Mapping[str, Any]]:
    """Hold this machine's measuring lock, on the last of the allowed cores if the runtime is judged by its CPU time.

    Returns:
        The conditions of the moment: the core, None of several; the load before; the date.
    """
    with measuring_lock("here"):
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
        core = max(allowed, default=None) if runtime.clock != "wall" else None
        load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
        if core is not None:
            os.sched_setaffinity(0, {core})
        try:
            yield {"core": core, "load": load, "date": datetime.now(UTC).isoformat(timespec="seconds")}
        finally:
            if core is not None:
                os.sched_setaffinity(0, allowed)


@cache
def processor() -> str:
    """The name of this machine's."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"

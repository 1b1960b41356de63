"""This machine: models run in this process, pinned to one core, one measurement at a time."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paretonas.device.contract import AppRuns, Runtime, Transport
from paretonas.device.lock import measuring_lock
from paretonas.device.runner.bundle import written_bundle
from paretonas.device.runner.moment import pinned, processor
from paretonas.device.runner.worker import Worker
from paretonas.device.timing import Protocol, Run, Samples, time_pairs
from paretonas.device.transport.remote import Remote
from paretonas.export import LoadedModel, ModelFile, example_inputs

LONGEST = 7 * 24 * 3600.0
"""Seconds that runs as an app may take: who asks for many, with pauses, waits for them."""


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

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        with tempfile.TemporaryDirectory() as folder:
            worker = Worker([sys.executable, str(written_bundle(Path(folder))), "work", folder], LONGEST)
            remote = Remote("this machine", lambda: worker, 0.0, LONGEST)
            try:
                return remote.run_as_app(runtime, file, runs, every)
            finally:
                worker.close()

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        return runtime.load(file.path)


def _load(runtime: Runtime, file: ModelFile) -> Run:
    return partial(runtime.load(file.path), example_inputs(file.interface))


@contextmanager
def quiet_core(runtime: Runtime) -> Iterator[Mapping[str, Any]]:
    """Hold this machine's measuring lock, on the last of the allowed cores if the runtime is judged by its CPU time.

    Returns:
        The conditions of the moment; see `pinned`.
    """
    with measuring_lock("here"), pinned(runtime.clock) as conditions:
        yield conditions

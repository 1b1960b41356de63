"""This machine: models run in this process, pinned to one core, one measurement at a time."""

from __future__ import annotations

import fcntl
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paretonas.device.device import ModelFile, Runtime, Transport
from paretonas.device.timing import Protocol, Run, Samples, time_pairs


@dataclass(frozen=True)
class LocalTransport(Transport):
    """This machine. Takes no address."""

    is_here: ClassVar[bool] = True

    def measure(self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol) -> Samples:
        with quiet_core(is_pinned=runtime.clock == "cpu"):
            return time_pairs(
                partial(_load, runtime, candidate), partial(_load, runtime, reference), protocol, clock=runtime.clock
            )

    def conditions(self) -> Mapping[str, Any]:
        return {
            "cpu": _cpu(),
            "machine": platform.machine(),
            "core": max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "load": round(os.getloadavg()[0], 2),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _load(runtime: Runtime, file: ModelFile) -> Run:
    x = np.random.default_rng(0).standard_normal(file.input_shape, np.float32)
    return partial(runtime.open(file.path), x)


@contextmanager
def quiet_core(is_pinned: bool) -> Iterator[None]:
    """Hold this machine's measuring lock, on the last of the allowed cores if the work is one thread's."""
    with Path(tempfile.gettempdir(), f"paretonas-measuring-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        if allowed and is_pinned:
            os.sched_setaffinity(0, {max(allowed)})
        try:
            yield
        finally:
            if allowed and is_pinned:
                os.sched_setaffinity(0, allowed)


@cache
def _cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"

"""Times by TensorFlow Lite's `benchmark_model`, for a phone whose vendor gives nothing but that program.

It runs one model and tells the mean and the fastest of its runs, on the wall clock. So reference and candidate run in
turn, each as a process of its own, beginning and ending with the reference; a candidate is compared with the faster of
the two references around it. Such a latency is flagged "summary-only".
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from paretonas.device.contract import Runtime
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.adb_link import quoted
from paretonas.device.transport.adb_phone import Phone, local_file, threads_of
from paretonas.errors import DeviceError, MeasureError
from paretonas.export import ModelFile


def measure_by_benchmark(
    phone: Phone, runtime: Runtime, files: tuple[ModelFile, ModelFile], protocol: Protocol
) -> tuple[Samples, Mapping[str, Any]]:
    """Time the candidate, `files[0]`, between runs of the reference: one of either for each load of the protocol.

    Raises:
        DeviceError: The runtime's engine is not LiteRT.
        MeasureError: The program prints no time.
        LostError: The phone is.
    """
    if runtime.engine != "litert":
        raise DeviceError(f"`benchmark_binary` is TensorFlow Lite's, which runs .tflite files, not .{runtime.format}.")
    settings, date = phone.settings, datetime.now(UTC).isoformat(timespec="seconds")
    binary, *models = phone.push([local_file("benchmark_binary", settings.benchmark_binary), *(f.path for f in files)])
    given = {
        "num_threads": threads_of(runtime), "num_runs": max(protocol.portions), "warmup_runs": protocol.warmup,
    }  # fmt: skip
    words = [*(["taskset", settings.cores] if settings.cores else []), f"./{binary}"]
    words += [f"--{name}={value}" for name, value in given.items()]
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * len(protocol.portions) + 1):
        which = 1 - turn % 2
        ran = phone.there(f"{quoted([*words, f'--graph=./{models[which]}'])} 2>&1", settings.timeout)
        times[which].append(fastest_of(ran.text))
    candidate = tuple(times[0])
    reference = tuple(itertools.starmap(min, itertools.pairwise(times[1])))
    samples = Samples(candidate, candidate, reference, reference, loads=(1,) * len(candidate), is_summary=True)
    return samples, {"core": None, "load": None, "date": date, "battery": phone.battery()}


def fastest_of(text: str) -> float:
    r"""Seconds of the fastest timed run by what `benchmark_model` prints; the mean, if it tells no more.

    Raises:
        MeasureError: It prints no time.

    >>> fastest_of("count=9 first=5 curr=5 min=5 max=9 avg=7 std=1\ncount=50 first=3100 min=3000 max=3500 avg=3200")
    0.003
    """
    runs = re.findall(r"\bcount=\d+\b.*?\bmin=([\d.e+]+)", text)
    means = re.findall(r"Inference \(avg\): ([\d.e+]+)", text)
    try:
        found = float((runs or means)[-1]) * 1e-6
    except (IndexError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        tail = " ".join(text.split())[-300:]
        raise MeasureError(f"A benchmark prints `count=... min=...` in microseconds, but this one printed {tail!r}.")
    return found

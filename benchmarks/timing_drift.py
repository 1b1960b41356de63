"""Does a latency come out the same all along? One network, measured again and again with one calibration.

Prints the coefficient of variation (standard deviation over mean) of the headline, of plain statistics of the same
samples, and of the reference network, which is how much the machine itself drifted. The network of the default is the
reference network, so that its headline is the noise of the protocol alone.

With `--pause`, the training workers of a session (the number that `ps -o sid` gives) stand still during measurements,
so that the half hour can be one in which a search runs: a search does not train either while it measures. Its main
process goes on, as it may hold the lock that measurements share.

Usage: python benchmarks/timing_drift.py OUTPUT.parquet [--measurements 10] [--minutes 30] [--network NAME …]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from conditions import conditions, print_conditions, print_table, write_rows

from paretonas import build, parse_device, zoo_spec
from paretonas.device.calibration import calibrate
from paretonas.errors import UsageError
from paretonas.evaluation.latencies import RECORD
from paretonas.latency import Latency
from paretonas.space import Interface

STATISTICS: dict[str, Callable[[Latency], float]] = {
    "headline": lambda latency: latency.latency_ms,
    "wall median": lambda latency: 1e3 * statistics.median(latency.candidate_wall),
    "wall minimum": lambda latency: 1e3 * min(latency.candidate_wall),
    "CPU median": lambda latency: 1e3 * statistics.median(latency.candidate_cpu),
    "CPU minimum": lambda latency: 1e3 * min(latency.candidate_cpu),
    "reference's wall median": lambda latency: 1e3 * statistics.median(latency.reference_wall),
    "reference's CPU median": lambda latency: 1e3 * statistics.median(latency.reference_cpu),
}
"""All in milliseconds."""


def variation(values: Sequence[float]) -> float:
    """Standard deviation of a sample over its mean.

    >>> variation([1.0, 2.0, 3.0])
    0.5
    """
    return statistics.stdev(values) / statistics.fmean(values)


@contextmanager
def standing_still(session: int | None) -> Iterator[None]:
    """Stop the worker processes of a session for a while."""
    if session is None:
        yield
        return
    workers = ["--session", str(session), "--full", "multiprocessing-fork"]
    subprocess.run(["pkill", "-STOP", *workers], check=True)
    try:
        time.sleep(1)
        yield
    finally:
        subprocess.run(["pkill", "-CONT", *workers], check=True)


def main(options: argparse.Namespace) -> None:
    """Measure, write after every measurement, print."""
    output: Path = options.output
    if output.exists():
        raise UsageError(f"Measurements are written to a new file, but {output} exists: name another or remove it.")
    print_conditions(conditions())
    spec = zoo_spec(options.network, options.width, options.resolution if options.small_image else None)
    interface = Interface.of_images(3, options.resolution, options.classes)
    device = parse_device(options.device)
    rows, found = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        model = build(spec, interface).eval()
        file = device.export(model, spec, interface, folder / "candidate")
        device.verify(model, file)
        with standing_still(options.pause):
            calibration = calibrate(device, folder, interface, RECORD)
        print(f"calibrated: {1e3 * calibration.calibrated:.3f} ms, flags {calibration.flags}")
        begin = time.monotonic()
        for i in range(options.measurements):
            at = begin + 60 * options.minutes * i / max(1, options.measurements - 1)
            time.sleep(max(0.0, at - time.monotonic()))
            with standing_still(options.pause):
                latency = device.measure(file, folder, calibration.calibrated, RECORD)
            found.append(latency)
            label = {"network": options.network, "width": options.width, "resolution": options.resolution}
            rows.append({**label, "measurement": i, "minutes": (time.monotonic() - begin) / 60, **asdict(latency)})
            write_rows(rows, output)
            values = "  ".join(f"{key} {value(latency):.3f}" for key, value in STATISTICS.items())
            print(f"{rows[-1]['minutes']:5.1f} min  {values}  attempts {latency.attempts} {latency.flags}", flush=True)
    report(found)


def report(found: Sequence[Latency]) -> None:
    """Print the table."""
    rows = []
    for key, value in STATISTICS.items():
        values = [value(latency) for latency in found]
        cv = f"{100 * variation(values):.2f} %" if len(values) > 1 else None
        rows.append((key, f"{statistics.fmean(values):.3f}", f"{min(values):.3f}", f"{max(values):.3f}", cv))
    print_table(("statistic (ms)", "mean", "smallest", "largest", "CV"), rows)
    flagged = sum(bool(latency.flags) for latency in found)
    repeats = sum(latency.attempts - 1 for latency in found)
    print(f"{len(found)} measurements, {repeats} repeats, {flagged} kept with a flag")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--measurements", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=30.0, help="from the first measurement to the last")
    parser.add_argument("--network", default="mobilenet-v2", help="a name of the zoo")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--small-image", action="store_true", help="drop the first strides, as searches do")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--device", default="onnxruntime")
    parser.add_argument("--pause", type=int, metavar="SESSION", help="a session that stands still meanwhile")
    main(parser.parse_args())

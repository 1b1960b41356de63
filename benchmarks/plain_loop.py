"""Does an app see what `measure --every` says? A loop of the engine's own API, beside it, in turns.

The loop is a script of its own that knows nothing of paretonas: it opens the file with ONNX Runtime, runs it as often,
and waits between the runs. Both run in a fresh process each, several rounds in turn, back to back and with pauses;
compared are the medians of all runs on the wall clock. `measure`, which times for a search, stands beside: its raw wall
times, and its headline.

Usage: python benchmarks/plain_loop.py OUTPUT_DIR [--side 128] [--rounds 5] [--runs 40]; on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows

from paretonas.device import Device, parse_device
from paretonas.device.calibration import calibrate
from paretonas.evaluation.latencies import RECORD
from paretonas.evaluation.measure import exported
from paretonas.export import ModelFile
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

NETWORKS = ("mobilenet-v2:width=0.5", "mnasnet-small", "mnasnet-a1", "mobilenet-v3-large", "efficientnet-b0")
PAUSES = (0.0, 0.1)
LOOP = """
import json, sys, time
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
side, runs, pause = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
image = {session.get_inputs()[0].name: np.random.default_rng(0).standard_normal((1, 3, side, side), dtype=np.float32)}
session.run(None, image)
seconds = []
for _ in range(runs):
    began = time.perf_counter()
    session.run(None, image)
    seconds.append(time.perf_counter() - began)
    time.sleep(max(0.0, pause - seconds[-1]))
print(json.dumps(seconds))
"""


def plain_loop(path: Path, side: int, runs: int, pause: float) -> list[float]:
    """Seconds of each run."""
    words = [sys.executable, "-c", LOOP, str(path), str(side), str(runs), str(pause)]
    found: list[float] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def compared(device: Device, file: ModelFile, options: argparse.Namespace, pause: float) -> dict[str, Any]:
    """Both ways in turns; the one that begins changes from round to round."""
    seconds: dict[str, list[float]] = {"loop": [], "measure": []}
    ways: list[tuple[str, Callable[[], Sequence[float]]]] = [
        ("loop", lambda: plain_loop(file.path, options.side, options.runs, pause)),
        ("measure", lambda: device.transport.run_as_app(device.runtime, file, options.runs, pause).wall),
    ]
    for _ in range(options.rounds):
        for name, run in ways:
            seconds[name] += run()
        ways.reverse()
    loop, measured = (statistics.median(seconds[name]) * 1e3 for name in ("loop", "measure"))
    return {
        "every_ms": pause * 1e3,
        "loop_ms": loop,
        "measured_ms": measured,
        "ratio": measured / loop,
        "fastest_ratio": min(seconds["measure"]) / min(seconds["loop"]),
        "loop_s": seconds["loop"],
        "measured_s": seconds["measure"],
    }


def main(options: argparse.Namespace) -> None:
    """Measure, print, and write `plain_loop.parquet`."""
    options.output.mkdir(parents=True, exist_ok=True)
    print_conditions(conditions())
    device, interface, rows = parse_device("onnxruntime"), Interface.of_images(3, options.side, 1000), []
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing)
        seconds = calibrate(device, folder, interface, RECORD).calibrated
        for name in NETWORKS:
            file = exported(device, zoo_spec(name), interface, folder)
            latency = device.measure(file, folder, seconds, RECORD)
            headline = {
                "headline_ms": latency.latency_ms,
                "raw_ms": statistics.median(latency.candidate_wall) * 1e3,
                "flags": list(latency.flags),
            }
            for pause in PAUSES:
                rows.append({"network": name, **compared(device, file, options, pause), **headline})
                print(f"{name} every {pause * 1e3:g} ms: {rows[-1]['ratio']:.3f}", flush=True)
            write_rows(rows, options.output / "plain_loop.parquet")
    columns = ("network", "every_ms", "loop_ms", "measured_ms", "ratio", "fastest_ratio", "raw_ms", "headline_ms")
    print_table(columns, [[f"{v:.3g}" if isinstance(v := row[c], float) else v for c in columns] for row in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=40)
    main(parser.parse_args())

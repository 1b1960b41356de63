"""What a latency costs: building, exporting, checking and timing points of the MnasNet space at 224 pixels.

PyTorch's exporter is run beside on the first of them. Usage: python benchmarks/conversion.py [POINTS]
"""

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from random import Random

from paretonas import build, parse_device
from paretonas.device.calibration import calibrate
from paretonas.evaluation.latencies import QUICK
from paretonas.export.onnx import export_with_torch
from paretonas.space import Interface, spaces

INTERFACE = Interface.of_images(channels=3, resolution=224, classes=1000)


def main(points: int) -> None:
    """Print the median and the largest seconds of every step."""
    space, device = spaces.create("mnasnet").build(), parse_device("onnxruntime")
    seconds: dict[str, list[float]] = {"build": [], "export": [], "check": [], "time": [], "all": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calibrated = calibrate(device, folder, INTERFACE, QUICK).calibrated
        for i in range(points):
            spec = space.decode(space.sample(Random(i)))
            marks = [time.perf_counter()]
            model = build(spec, INTERFACE).eval()
            marks.append(time.perf_counter())
            file = device.export(model, spec, INTERFACE, folder / "candidate")
            marks.append(time.perf_counter())
            device.verify(model, file)
            marks.append(time.perf_counter())
            device.measure(file, folder, calibrated, QUICK)
            marks.append(time.perf_counter())
            for step, (begin, end) in zip(seconds, pairwise(marks), strict=False):
                seconds[step].append(end - begin)
            seconds["all"].append(marks[-1] - marks[0])
            if i == 0:
                export_with_torch(model, INTERFACE, folder / "oracle.onnx")
                begin = time.perf_counter()
                export_with_torch(model, INTERFACE, folder / "oracle.onnx")
                oracle = time.perf_counter() - begin
    for step, values in seconds.items():
        print(f"{step:<8} median {statistics.median(values):.2f} s  largest {max(values):.2f} s")
    print(f"PyTorch's exporter, second call: {oracle:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)

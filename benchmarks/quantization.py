"""What do 8 bits cost, and what do they save?

Networks are trained on CIFAR-10, written as float ONNX files and quantized in many ways: by method of calibration, by
how many images it sees, by noise in the place of images, with 7 and 8 bits of weights, and with the layers most to
blame kept in float. Every file is scored on the same validation images and timed in turn with the float one.

Three orders of blame are compared: the error of the logits with one module quantized alone (`alone`); by how much the
error of a module's output exceeds that of the one before it (`increase`); and none of them (`random`).

Weights are kept, so that the script goes on wherever it was stopped. Usage: quantization.py CIFAR10 OUTPUT.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnxruntime
import torch
from conditions import conditions, print_conditions, print_table, write_rows
from numpy.typing import NDArray
from trainings import arguments, prepared, read_rows

from paretonas.data.augment import scoring_batches
from paretonas.data.images import Split
from paretonas.device import parse_device
from paretonas.evaluation.job import TrainingJob, known_metrics, run_training
from paretonas.evaluation.latencies import QUICK
from paretonas.export import ModelFile, example_inputs, formats
from paretonas.export.checkpoint import load_checkpoint
from paretonas.export.onnx.quantized import Calibration, calibrate, module_errors, modules_to_blame, write_quantized
from paretonas.export.quantize import Quantization
from paretonas.files import scratch_folder
from paretonas.space import Interface, spec_to_json
from paretonas.task.classification import Classification
from paretonas.zoo import zoo_spec

RESOLUTION = 32
NETWORKS = {"mobilenet-v2": 0.5, "mnasnet-a1": 0.5, "mobilenet-v3-small": 1.0}
METHODS = ("minmax", "percentile", "mse")
COUNTS = (10, 50, 200)
PARTS = ("accuracies", "blame", "timings")
KEPT = (1, 2, 3, 6)
DEFAULT = Quantization()
BATCH = 100
KERNELS = {"7 bits of weights": ("exact",), "8 bits of weights": ("exact", "precise"), "int8 activations": ("exact",)}
"""Beside the usual ones."""


@dataclass(frozen=True)
class Scorer:
    """Scores files on the same images.

    Args:
        images: (n, 3, side, side), as networks are fed.
        labels: Of them.
    """

    images: NDArray[np.float32]
    labels: NDArray[Any]

    def accuracy(self, file: Path, kernels: str = "usual") -> float:
        """In percent; `exact`: as the file says, by no int8 kernel; `precise`: by ONNX Runtime's slow ones for AVX2."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        if kernels == "exact":
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if kernels == "precise":
            options.add_session_config_entry("session.x64quantprecision", "1")
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        batches = (self.images[i : i + BATCH] for i in range(0, len(self.images), BATCH))
        found = np.concatenate([session.run(None, {name: batch})[0].argmax(1) for batch in batches])
        return 100 * float((found == self.labels).mean())


def shown(split: Split, count: int) -> NDArray[np.float32]:
    """The first images of a split, as networks are fed."""
    batches: list[NDArray[np.float32]] = []
    for batch in scoring_batches(split, 0):
        batches.append(batch.numpy())
        if sum(map(len, batches)) >= count:
            break
    return np.concatenate(batches)[:count]


def variants(images: NDArray[np.float32], noise: NDArray[np.float32]) -> list[tuple[str, Quantization, NDArray[Any]]]:
    """What is compared, but for layers kept in float: a name, options, and what calibration sees."""
    found = [
        (f"{method}, {count} images", Quantization(method, count), images) for method in METHODS for count in COUNTS
    ]
    found += [(f"{method}, 50 x noise", Quantization(method, 50), noise) for method in METHODS]
    for is_narrow in (True, False):
        found.append((f"{7 if is_narrow else 8} bits of weights", Quantization(narrow_weights=is_narrow), images))
    return [*found, ("int8 activations", Quantization(activations="int8"), images)]


def by_increase(calibration: Calibration, file: Path) -> list[str]:
    """Modules by how much the error grows from the module before to this one."""
    errors = module_errors(calibration, file)
    before = [0.0, *(one.error for one in errors)]
    grown = sorted(zip(errors, before, strict=False), key=lambda pair: pair[1] - pair[0].error)
    return [one.module for one, _ in grown]


def ratio(file: Path, interface: Interface, folder: Path) -> float:
    """Latency in latencies of the device's reference network: the median of three measurements."""
    device = parse_device("onnxruntime")
    found = [device.measure(ModelFile(file, interface), folder, None, QUICK).ratio for _ in range(3)]
    return statistics.median(found)


class Study:
    """Of one network; rows are collected.

    Attributes:
        rows: One a file: what it is, its accuracy, its size.
        blame: One a module and order of blame.
    """

    def __init__(self, name: str, float_file: Path, scorer: Scorer, images: NDArray[np.float32]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.blame: list[dict[str, Any]] = []
        self._name, self._float, self._scorer, self._images = name, float_file, scorer, images
        self._int8 = float_file.with_name("int8.onnx")

    def _add(self, variant: str, file: Path, error: float, kernels: str = "usual", kept: Sequence[str] = ()) -> None:
        accuracy = self._scorer.accuracy(file, kernels)
        row = {"network": self._name, "variant": variant, "kernels": kernels, "kept": list(kept), "accuracy": accuracy}
        self.rows.append({**row, "error": error, "bytes": file.stat().st_size})
        print(f"{self._name}, {variant}, {kernels}: {accuracy:.2f} %, error {error:.3f}", flush=True)

    def calibrations(self, noise: NDArray[np.float32]) -> None:
        """All that differs in what calibration does or sees."""
        self._add("float", self._float, 0.0)
        for variant, options, seen in variants(self._images, noise):
            found = write_quantized(calibrate(self._float, [(seen,)], options), self._int8, (), False)
            self._add(variant, self._int8, found.error)
            for kernels in KERNELS.get(variant, ()):
                self._add(variant, self._int8, found.error, kernels)

    def layers(self) -> None:
        """Who is to blame, and what keeping the worst in float gains."""
        calibration = calibrate(self._float, [(self._images,)], DEFAULT)
        write_quantized(calibration, self._int8, (), False)
        few = calibrate(self._float, [(self._images,)], replace(DEFAULT, examples=30))
        alone = modules_to_blame(few)
        modules = [one.module for one in alone]
        orders = {
            "alone": modules,
            "increase": by_increase(calibration, self._int8),
            "random": Random(0).sample(modules, len(modules)),
        }
        errors = {one.module: one.error for one in alone}
        for order, names in orders.items():
            for place, module in enumerate(names):
                row = {"network": self._name, "order": order, "place": place, "module": module}
                self.blame.append({**row, "error_alone": errors.get(module)})
            for count in KEPT:
                found = write_quantized(calibration, self._int8, names[:count], False)
                self._add(f"the {count} worst kept, {order}", self._int8, found.error, kept=names[:count])

    def timings(self, interface: Interface) -> list[dict[str, Any]]:
        """The float file, the usual int8 file and one with three layers in float, in turn."""
        calibration = calibrate(self._float, [(self._images,)], DEFAULT)
        worst = [row["module"] for row in self.blame if row["order"] == "alone" and row["place"] < 3]
        rows = []
        with scratch_folder(self._float.parent) as folder:
            for variant, kept in (("int8", []), ("int8, the 3 worst kept", worst)):
                write_quantized(calibration, self._int8, kept, False)
                for _ in range(2):
                    one, other = (ratio(file, interface, folder) for file in (self._float, self._int8))
                    rows.append({"network": self._name, "variant": variant, "float": one, "int8": other})
        return rows


def weights(name: str, task: Classification, recipe: Any, cache: Path) -> Path:
    """A trained network's checkpoint."""
    spec = spec_to_json(zoo_spec(name, NETWORKS[name], RESOLUTION))
    job = TrainingJob(spec, task, recipe, 1, "cpu", checkpoint=cache / f"{name}.safetensors")
    if known_metrics(job) is None:
        torch.set_num_threads(1)
        run_training(job)
    assert job.checkpoint is not None
    return job.checkpoint


def report(rows: Sequence[dict[str, Any]], blame: Sequence[dict[str, Any]], timed: Sequence[dict[str, Any]]) -> None:
    """Tables in Markdown."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    cells = {(row["variant"], row["kernels"], row["network"]): f"{row['accuracy']:.2f}" for row in rows}
    kinds = list(dict.fromkeys((row["variant"], row["kernels"]) for row in rows))
    print_table(
        ["file", "kernels", *networks],
        ((variant, kernels, *(cells.get((variant, kernels, name)) for name in networks)) for variant, kernels in kinds),
    )
    sizes = {(row["network"], row["variant"]): row["bytes"] for row in rows}
    usual = f"{METHODS[0]}, {COUNTS[-1]} images"
    print_table(
        ["network", "float, kB", "int8, kB"],
        ((name, *(f"{sizes[name, variant] / 1e3:.0f}" for variant in ("float", usual))) for name in networks),
    )
    print_table(
        ["network", "file", "latency over float's"],
        ((row["network"], row["variant"], f"{row['int8'] / row['float']:.2f}") for row in timed),
    )
    print_table(
        ["network", "order", "the worst"],
        (
            (
                name,
                order,
                ", ".join(
                    row["module"]
                    for row in blame
                    if (row["network"], row["order"]) == (name, order) and row["place"] < 5
                ),
            )
            for name in networks
            for order in ("alone", "increase")
        ),
    )


def main() -> None:
    """Train, quantize, score, time, keep and show."""
    parser = arguments(__doc__, epochs=4, seeds=1)
    parser.set_defaults(images=8000)
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--scored", type=int, default=2500, help="validation images that files are scored on")
    options = parser.parse_args()
    print_conditions({**conditions(), "VNNI": "_vnni" in Path("/proc/cpuinfo").read_text()})
    task, recipe, _ = prepared(options, RESOLUTION)
    assert isinstance(task, Classification)
    images = shown(task.images.train, max(COUNTS))
    noise = np.concatenate([example_inputs(task.interface, seed)[0] for seed in range(50)])
    scorer = Scorer(shown(task.images.val, options.scored), np.asarray(task.images.val.labels)[: options.scored])
    parts = {part: read_rows(options.output / f"{part}.parquet") for part in PARTS}
    for name in options.networks:
        if name in {row["network"] for row in parts["timings"]}:
            continue
        loaded = load_checkpoint(weights(name, task, recipe, options.cache))
        with scratch_folder(options.output) as folder:
            file, spec = folder / "float.onnx", zoo_spec(name, NETWORKS[name], RESOLUTION)
            formats.create("onnx").write(loaded.model, spec, loaded.interface, file)
            study = Study(name, file, scorer, images)
            study.calibrations(noise)
            study.layers()
            found = study.rows, study.blame, study.timings(loaded.interface)
        for part, rows in zip(PARTS, found, strict=True):
            parts[part] += rows
            write_rows(parts[part], options.output / f"{part}.parquet")
    report(*parts.values())


if __name__ == "__main__":
    main()

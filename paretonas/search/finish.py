"""What becomes of a trained finalist: exported for every device, re-scored and re-timed there, and recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from paretonas.device import Device, parse_device
from paretonas.errors import UsageError
from paretonas.evaluation.job import TrainingJob
from paretonas.evaluation.latencies import RECORD, calibrated_seconds, latency_metrics
from paretonas.export import Arrays, Format, ModelFile, formats, quantizers
from paretonas.export.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from paretonas.export.quantize import Quantization
from paretonas.files import scratch_folder, write_text
from paretonas.latency import Latency
from paretonas.network.cost import spec_cost
from paretonas.objective.metric import metric
from paretonas.search.metadata import finalist_metadata
from paretonas.search.rescore import rescore
from paretonas.search.search import Search
from paretonas.search.teacher import Teaching
from paretonas.space.transform import Transform
from paretonas.task.recipe import Recipe
from paretonas.task.showing import examples_of
from paretonas.task.task import Task
from paretonas.training.fit import as_run
from paretonas.trial import Trial

MOST_LOST, BLAMED = 0.005, 30
"""Quality that int8 may cost without a word, and examples by which modules are blamed if it costs more."""
FINAL = "final_"
"""Prefix of metrics of a trial that keep the search's value beside the final training's."""


@dataclass(frozen=True)
class Finalist:
    """What became of one finalist; in `trial-N.json` beside its files.

    Args:
        trial: Its number in the search.
        metrics: Of the quality on the test part, of the exported file, of latencies, costs and training time.
        checkpoint: Weights and spec.
        files: The exported ones by format.
        flags: Of the timings.
    """

    trial: int
    metrics: dict[str, float]
    checkpoint: Path
    files: Mapping[str, Path]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Finishing:
    """How finalists are made.

    Args:
        recipe: Of the training; None: the one that suits the task. Its layout and precision are the search's where they
            are `auto`.
        is_final: Train on all training examples and score the test part; else the search's own parts.
        seed: Of weights and training; None: the search's.
        transform: What is changed of the architecture. What another seed, a changed architecture, other weights or
            other data give is in files of its own and not in the store.
        weights: File of the weights to begin with; None: fresh ones.
        data: What is learned instead of the search's data, where cells are put into another network; None: those.
        teaching: The teacher, whose answers are learned too; None: there is none.

    Raises:
        UsageError: A seed out of its range.
    """

    recipe: Recipe | None = None
    is_final: bool = True
    seed: int | None = None
    transform: Transform = field(default_factory=Transform)
    weights: Path | None = None
    data: str | None = None
    teaching: Teaching | None = None

    def __post_init__(self) -> None:
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise UsageError(f"`0 <= seed < 2**32` must hold, but got (seed={self.seed}).")

    def is_kept_by(self, seed: int) -> bool:
        """Whether a search of that seed keeps the metrics in its trials: of what was found, trained to the end."""
        return self.is_final and self.is_as_found and self.weights is None and self.seed in (None, seed)

    @property
    def is_as_found(self) -> bool:
        """Whether the networks are those of the search, and learn what it is about."""
        return self.transform == Transform() and self.data is None


def finish(search: Search, trial: Trial, job: TrainingJob, score: dict[str, float], finishing: Finishing) -> Finalist:
    """Export, compare, time and record."""
    assert job.checkpoint is not None
    trained, task = load_checkpoint(job.checkpoint), job.task
    expected = score[("test_" if job.is_final else "") + task.quality]
    metrics, files, latencies, details = dict(score), dict[str, Path](), dict[str, Latency](), dict[str, Any]()
    told, scored = dict[str, Any](), set[tuple[str, str]]()
    metadata = finalist_metadata(trained, search.config.name, trial.number, finishing.transform)
    exports = _Exports(search, trained, task, job.checkpoint)
    for device in exports.devices:
        file = exports.write(device, metadata)
        name, engine = device.runtime.format + device.kind, (repr(device.runtime), device.transport.machine)
        if engine not in scored:
            scored.add(engine)
            rescored = rescore(device, file, trained.model, task, "test" if job.is_final else "val", expected)
            if file.precision == "int8":  # the worst of what is shipped
                metrics[f"exported_{task.quality}"] = rescored.metrics[task.quality]
                exports.tell_loss(device, trial.number, expected, rescored.metrics[task.quality])
            metrics.setdefault(f"exported_{task.quality}", rescored.metrics[task.quality])
            details, told = details or dict(rescored.details), told or dict(rescored.metadata)
        files[name] = file.path
        if device in search.devices:
            seconds = calibrated_seconds(device, file.interface, search.home / "cache", search.store)
            latencies[device.name] = device.measure(file, search.home / "cache", seconds, RECORD)
            metrics |= latency_metrics(latencies[device.name], device.name)
    if not told.keys() <= trained.info.keys():
        metadata |= told
        save_checkpoint(trained.model, trained.spec, trained.interface, job.checkpoint, {**trained.info, **told})
        for device in exports.devices:
            exports.write(device, metadata)
    metrics |= {n: float(v) for n, v in spec_cost(trained.spec, trained.interface).metrics().items()}
    flags = tuple(dict.fromkeys(flag for latency in latencies.values() for flag in latency.flags))
    finalist = Finalist(trial.number, metrics, job.checkpoint, files, flags)
    timed = {name: asdict(latency) for name, latency in latencies.items()}
    info = {**metadata, "metrics": metrics, "details": details, "latency": timed, "date": time.strftime("%Y-%m-%d")}
    write_text(job.checkpoint.with_suffix(".json"), json.dumps(info, indent=1))
    if finishing.is_kept_by(search.config.seed):
        kept = {_final_name(name, trial): value for name, value in metrics.items()}
        search.store.update_trial(search.config.name, replace(trial, metrics={**trial.metrics, **kept}))
    return finalist


class _Exports:
    """The files of a trained network: one for each device of the search, and ONNX for this machine if none takes that.

    Args:
        search: Its devices.
        trained: The network.
        task: That it has learned; its training examples calibrate files of int8.
        checkpoint: Of the weights; files lie beside it.
    """

    def __init__(self, search: Search, trained: Checkpoint, task: Task, checkpoint: Path):
        self._search, self._trained, self._task, self._checkpoint = search, trained, task, checkpoint
        self.devices = list(search.devices)
        if "onnx" not in {device.runtime.format for device in self.devices}:
            self.devices.insert(0, parse_device("onnxruntime"))

    @cached_property
    def examples(self) -> list[Arrays]:
        """What int8 is calibrated on."""
        run = as_run(self._trained.model)
        return examples_of(self._task, run, self._trained.interface, Quantization().examples)

    def write(self, device: Device, metadata: Mapping[str, Any]) -> ModelFile:
        """The file for a device; the weights' own is there."""
        trained, stem = self._trained, self._checkpoint.with_suffix("")
        if device.path(stem) == self._checkpoint:
            return ModelFile(self._checkpoint, trained.interface)
        examples = self.examples if device.runtime.quantization else ()
        return device.export(trained.model, trained.spec, trained.interface, stem, metadata, examples)

    def tell_loss(self, device: Device, number: int, expected: float, scored: float) -> None:
        """Say it where int8 costs more than half a point, with the modules that err most when they alone are int8."""
        quality = metric(self._task.quality)
        lost = expected - scored if quality.is_rising else scored - expected
        options = device.runtime.quantization
        if options is None or lost <= MOST_LOST * (1.0 if quality.is_rising else expected):
            return
        quantizer, trained = quantizers.load(device.runtime.format), self._trained
        with scratch_folder(self._search.home / "cache") as passing:
            written: Format = formats.create(device.runtime.format)
            path = passing / f"float{written.suffix}"
            written.write(trained.model, trained.spec, trained.interface, path)
            worst = quantizer.blame(quantizer.calibrate(path, self.examples, replace(options, examples=BLAMED)))
        names = [one.module for one in worst[:3]]
        self._search.listener.note(
            f"Trial {number} has {quality.text(scored)} {quality.title} in int8, {quality.text(expected)} before. Most "
            f"to blame: {', '.join(names)}. To keep them in float: precision=int8,keep={'+'.join(names)}."
        )


def _final_name(name: str, trial: Trial) -> str:
    """The name under which a trial keeps a finalist's metric: costs are what they were in the search."""
    is_searched = name in trial.metrics or name.partition(".")[0] in ("train_loss", "train_seconds")
    is_cost = name in ("params", "macs", "weight_bytes", "peak_memory_bytes")
    is_finalists = name.startswith(("test_", "exported_"))  # an earlier one's, if the trial has it
    return f"{FINAL}{name}" if is_searched and not (is_cost or is_finalists) else name

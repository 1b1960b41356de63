"""From a searched architecture to a trained, exported, re-scored and re-timed network.

The final training uses all training images; the test images are scored once for each finalist, and never for a choice.
The exported file is scored on them too, through ONNX Runtime, and must agree with the model it came from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from paretonas.data.images import Split
from paretonas.device import ModelFile, parse_device
from paretonas.errors import ExportError, ParetonasError, UsageError, WorkError
from paretonas.evaluation.job import TrainingJob, job_identity, run_training
from paretonas.evaluation.trained import RECORD, calibration, latency_metrics, time_model
from paretonas.executor import executors
from paretonas.export import exporters
from paretonas.export.checkpoint import Checkpoint, load_checkpoint
from paretonas.latency import Latency
from paretonas.search.search import Search
from paretonas.space import spec_hash, spec_to_json
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.training.batches import scoring_batches
from paretonas.training.classification import predict
from paretonas.training.optimization import check_recipe
from paretonas.training.progress import read_share
from paretonas.trial import State, Trial

ACCURACY_TOLERANCE = 0.002
"""Largest difference in accuracy between a model and its exported file, but one image is always allowed to tip over."""

FINAL_NAMES = {name: f"final_{name}" for name in (
    "latency_ms", "latency_spread", "latency_flags", "train_loss", "train_seconds", "images_per_second"
)}  # fmt: skip
"""Metrics of a trial that keep the search's value beside the final training's."""

OUTPUT_TOLERANCE = 1e-3
"""Largest difference of any output on the test images, relative to the largest output."""


@dataclass(frozen=True)
class Finalist:
    """What became of one finalist; in `trial-N.json` beside its files.

    Args:
        trial: Its number in the search.
        metrics: `test_accuracy`, `exported_accuracy`, `latency_ms`, `latency_spread`, costs, training time.
        checkpoint: Weights and spec.
        onnx: The exported file.
        flags: Of the timing.
    """

    trial: int
    metrics: dict[str, float]
    checkpoint: Path
    onnx: Path
    flags: tuple[str, ...]


def choose(trials: Sequence[Trial], numbers: Sequence[int] = (), top: int = 1) -> list[Trial]:
    """The trials to train: the given ones, or the `top` by reward with specs that differ.

    Raises:
        UsageError: A trial that does not exist or is not complete, or no complete trial at all.
    """
    complete = {trial.number: trial for trial in trials if trial.state is State.COMPLETE}
    if not complete:
        raise UsageError("A finalist is a complete trial, but this search has none yet.")
    missing = [number for number in numbers if number not in complete]
    if missing:
        raise UsageError(f"A finalist is a complete trial of the search, but {missing[0]} is not one.")
    if numbers:
        return [complete[number] for number in numbers]
    best: dict[str, Trial] = {}
    for trial in sorted(complete.values(), key=lambda t: -(t.reward or 0.0)):
        best.setdefault(trial.spec_hash, trial)
    return list(best.values())[:top]


def train_trials(
    search: Search,
    trials: Sequence[Trial],
    recipe: Recipe | None = None,
    *,
    is_final: bool = True,
    seed: int | None = None,
    on_progress: Callable[[dict[int, float]], None] = lambda shares: None,
) -> list[Finalist]:
    """Train, score, export, re-score and re-time trials of a search.

    Args:
        search: Theirs.
        trials: Complete ones.
        recipe: How; `small-image` if None.
        is_final: Train on all training images and score the test images; else the search's own splits.
        seed: Of weights and training; None: the search's. What another seed gives is in files of its own and not in the
            store.
        on_progress: Told every second which share of its training each trial has done.

    Raises:
        UsageError: The recipe cannot be.
        WorkError: A training failed, or an exported file disagrees with its model. The others are finished first.
    """
    recipe = recipe or recipes.create("small-image")
    searched = search.image_task().tuned
    layout, precision = searched.layout, searched.precision
    recipe = replace(
        recipe,
        layout=layout if recipe.layout == "auto" else recipe.layout,
        precision=precision if recipe.precision == "auto" else recipe.precision,
    )
    seed = search.config.seed if seed is None else seed
    folder = search.home / search.config.name
    folder.mkdir(parents=True, exist_ok=True)
    jobs = {trial.number: _job(search, trial, recipe, folder, is_final, seed) for trial in trials}
    check_recipe(recipe)
    scores, failed = _train(search, jobs, on_progress)
    finalists = []
    for trial in (trial for trial in trials if trial.number in scores):
        try:
            finalists.append(_finish(search, trial, jobs[trial.number], scores[trial.number], is_final))
        except WorkError as error:
            failed[trial.number] = error
    if failed:
        done = ", ".join(str(finalist.trial) for finalist in finalists) or "none"
        reasons = "; ".join(f"trial {number}: {error}" for number, error in failed.items())
        raise WorkError(f"{reasons} (finished: {done})")
    return finalists


def export_trial(name: str, home: Path, number: int, format: str, path: Path | None = None) -> Path:
    """Write a finalist in another format.

    Args:
        name: Of the search.
        home: As when it was made.
        number: Of the trial.
        format: A registered export format.
        path: Where to; beside the weights if None.

    Raises:
        UsageError: It has not been trained by `train --final` yet.
        ExportError: It could not be exported.
    """
    checkpoint = home / name / f"trial-{number}.safetensors"
    if not checkpoint.exists():
        raise UsageError(
            f"Only a trained network is exported, but trial {number} has no weights yet: "
            f"`paretonas train {name} --trial {number} --final` first."
        )
    trained = load_checkpoint(checkpoint)
    path = path or checkpoint.with_suffix(f".{format}")
    if not path.parent.exists():
        raise UsageError(f"A file is written to a folder that exists, but there is no {path.parent}.")
    if path.resolve() != checkpoint.resolve():
        exporters.load(format)(trained.model, trained.spec, trained.input_shape, path)
    return path


def _job(search: Search, trial: Trial, recipe: Recipe, folder: Path, is_final: bool, seed: int) -> TrainingJob:
    own_seed = "" if seed == search.config.seed else f"-seed{seed}"
    stem = folder / f"trial-{trial.number}{'' if is_final else '-val'}{own_seed}"
    return TrainingJob(
        spec_to_json(search.space.decode(trial.architecture)),
        search.image_task().data.folder,
        recipe,
        seed,
        search.config.torch_device,
        is_final,
        checkpoint=stem.with_suffix(".safetensors"),
        progress=stem.with_suffix(".progress"),
        state=stem.with_suffix(".state"),
    )


def _train(
    search: Search, jobs: dict[int, TrainingJob], on_progress: Callable[[dict[int, float]], None]
) -> tuple[dict[int, dict[str, float]], dict[int, ParetonasError]]:
    """Train in parallel what was not trained before; scores and errors by trial."""
    scores: dict[int, dict[str, float]] = {}
    failed: dict[int, ParetonasError] = {}
    with executors.create(search.config.executor).start() as executor:
        for number, job in jobs.items():
            known = _scores_of(job)
            if known is not None:
                scores[number] = known
            else:
                executor.submit(str(number), run_training, job)
        while len(scores) + len(failed) < len(jobs):
            for done in executor.wait(timeout=1.0):
                try:
                    scores[int(done.key)] = done.result()
                except ParetonasError as error:
                    failed[int(done.key)] = error
            on_progress({n: 1.0 if n in scores else _share(job) for n, job in jobs.items()})
    for job in jobs.values():
        if job.progress is not None:
            job.progress.unlink(missing_ok=True)
    return scores, failed


def _scores_of(job: TrainingJob) -> dict[str, float] | None:
    """What this very training gave, if its weights are still there."""
    if job.checkpoint is None or not job.checkpoint.exists():
        return None
    info = load_checkpoint(job.checkpoint).info
    return dict(info["metrics"]) if info.get("job") == job_identity(job) else None


def _share(job: TrainingJob) -> float:
    return 0.0 if job.progress is None else read_share(job.progress)


def _finish(search: Search, trial: Trial, job: TrainingJob, score: dict[str, float], is_final: bool) -> Finalist:
    """Export, compare, time and record."""
    assert job.checkpoint is not None
    trained = load_checkpoint(job.checkpoint)
    onnx = job.checkpoint.with_suffix(".onnx")
    exporters.load("onnx")(trained.model, trained.spec, trained.input_shape, onnx)
    task = search.image_task()
    split, name = (task.data.test, "test_accuracy") if is_final else (task.data.val, "accuracy")
    exported = score_exported(onnx, trained, split, score[name])
    latency = _time(search, trained, onnx)
    metrics = {
        **score,
        "exported_accuracy": exported,
        **latency_metrics(latency),
        **task.evaluator.cost(trained.spec),
    }
    finalist = Finalist(trial.number, metrics, job.checkpoint, onnx, latency.flags)
    info = {
        "trial": trial.number,
        "spec_hash": spec_hash(trained.spec),
        "spec": spec_to_json(trained.spec),
        "metrics": metrics,
        "latency": asdict(latency),
        "input": {"shape": trained.input_shape, "mean": trained.info["mean"], "std": trained.info["std"]},
        "classes": trained.info["classes"],
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "is_final": is_final,
        "date": time.strftime("%Y-%m-%d"),
    }
    onnx.with_suffix(".json").write_text(json.dumps(info, indent=1))
    if is_final and job.seed == search.config.seed:
        final = {FINAL_NAMES.get(name, name): value for name, value in metrics.items()}
        search.store.update_trial(search.config.name, replace(trial, metrics={**trial.metrics, **final}))
    return finalist


def _time(search: Search, trained: Checkpoint, onnx: Path) -> Latency:
    """The latency of the exported file itself, if the device runs ONNX files; else of one in the device's format."""
    device, cache, store = search.image_task().device, search.home / "cache", search.store
    if device.runtime.format == "onnx":
        file = ModelFile(onnx, trained.input_shape)
        return device.measure(file, cache, calibration(device, file.input_shape, cache, store), RECORD)
    return time_model(device, trained.model, trained.spec, trained.input_shape, cache, store, RECORD)


def score_exported(onnx: Path, trained: Checkpoint, split: Split, expected: float) -> float:
    """Accuracy of the exported file on `split`, through ONNX Runtime.

    Raises:
        ExportError: Its outputs or its accuracy disagree with the model's.
    """
    run = parse_device("onnxruntime").runtime.open(ModelFile(onnx, trained.input_shape).path)
    found = np.concatenate([run(np.ascontiguousarray(x.numpy())) for x in scoring_batches(split)])
    outputs = predict(trained.model, split)
    difference = float(np.abs(found - outputs).max() / np.abs(outputs).max())
    scored = float((found.argmax(1) == split.labels).mean())
    tolerance = max(ACCURACY_TOLERANCE, 1.5 / len(split))
    if not (difference <= OUTPUT_TOLERANCE and abs(scored - expected) <= tolerance):
        raise ExportError(
            f"An exported file agrees with its model within {OUTPUT_TOLERANCE:g} of the largest output and "
            f"{tolerance:.2g} in accuracy, but {onnx.name} differs by {difference:.2g} and scores {scored:.4f} "
            f"instead of {expected:.4f}. Please report this with {onnx.with_suffix('.safetensors').name}."
        )
    return scored

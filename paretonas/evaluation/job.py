"""What workers are sent: looking at and training one network; and what all jobs share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from paretonas.errors import TrainingError, UsageError
from paretonas.evaluation.keys import SCRATCH, Lesson, Origin
from paretonas.evaluation.quantized import quantized
from paretonas.export.checkpoint import load_checkpoint, save_checkpoint
from paretonas.registry import blamed, short
from paretonas.space import Spec, spec_from_json
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.training.features import OnFeatures
from paretonas.training.fit import Session, as_run, fit, torch_device
from paretonas.training.progress import ProgressFile
from paretonas.training.state import StateFile
from paretonas.training.weights import Weights, load_weights
from paretonas.training.zerocost import zero_cost


@dataclass(frozen=True)
class Schooling:
    """How candidates are trained.

    Args:
        recipe: The full training.
        seed: Of weights and training.
        torch_device: Where.
        shares: Of the full training after which candidates are scored, rising to 1.
        width: Multiplier of the filters of the task's typical network, by which costs and targets are estimated.
        weights: That candidates, or their backbones, begin with; None: fresh ones.
        frozen: The backbone of all candidates, which keeps these weights; None: backbones learn too.
    """

    recipe: Recipe
    seed: int = 0
    torch_device: str = "auto"
    shares: tuple[float, ...] = (1.0,)
    width: float = 1.0
    weights: Weights | None = None
    frozen: Spec | None = None

    @property
    def origin(self) -> Origin:
        """Of the weights."""
        return origin(self.weights)

    def learned(self, task: Task, cache: Path) -> Task:
        """The task as candidates learn it: from the features of a frozen backbone, if there is one.

        Args:
            task: Of the search.
            cache: Folder for features.

        Raises:
            UsageError: It has no weights.
        """
        if self.frozen is None:
            return task
        if self.weights is None:
            raise UsageError("A backbone that stays as it is has weights: give --weights FILE or --pretrain-data DATA.")
        return OnFeatures(task, self.frozen, self.weights, cache)


def origin(weights: Weights | None) -> Origin:
    """Of what begins with such weights."""
    return SCRATCH if weights is None else Origin("weights", weights.digest)


@dataclass(frozen=True)
class Folders:
    """Where files are left.

    Args:
        cache: For what can be made again: prepared data, reference networks.
        run: For the states of trainings.
    """

    cache: Path
    run: Path


@dataclass(frozen=True)
class TrainingJob:
    """All that a worker needs to train and score one network.

    Args:
        spec: As JSON data.
        task: What is learned.
        recipe: How.
        seed: Of weights and training.
        torch_device: Where.
        is_final: Learn from all but the test part and score that, instead of the search's parts.
        checkpoint: Where to leave the weights, if anywhere.
        progress: File that tells how far it is, if anybody wants to know.
        state: File from which an interrupted training goes on; None: it would begin anew.
        until: Share of the training after which it stops and is scored; the file allows to go on from there.
        weights: File of the weights that it begins with; None: fresh ones.
        quantized: The device whose int8 file is scored instead of the network, and a folder for that file.
    """

    spec: Mapping[str, Any]
    task: Task
    recipe: Recipe
    seed: int
    torch_device: str = "auto"
    is_final: bool = False
    checkpoint: Path | None = None
    progress: Path | None = None
    state: Path | None = None
    until: float = 1.0
    weights: Path | None = None
    quantized: tuple[str, Path] | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the outcome; JSON data."""
        begun = origin(None if self.weights is None else Weights.of(self.weights))
        lesson = Lesson(type(self.task).__name__, self.task.digest, self.recipe, self.seed, begun)
        return {"spec": dict(self.spec), **lesson.to_json(), "is_final": self.is_final}


def run_training(job: TrainingJob) -> dict[str, float]:
    """Train and score one network; runs in a worker.

    Returns:
        The task's metrics (with the prefix `test_` if final), `train_loss`, `train_seconds`, `examples_per_second`.

    Raises:
        TrainingError: It diverged, or its score lacks the task's quality.
    """
    task, device, spec = job.task, torch_device(job.torch_device), spec_from_json(job.spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = task.network(spec, job.recipe)
    if job.weights is not None:
        load_weights(model, job.weights, task.interface.outputs[0].shape[-1])
    if job.state is not None:
        job.state.parent.mkdir(parents=True, exist_ok=True)
    state = None if job.state is None else StateFile(job.state, job.identity())
    on_step = None if job.progress is None else ProgressFile(job.progress).step
    session = Session("full_train" if job.is_final else "train", device, state, job.until, on_step)
    trained = fit(model, task, job.recipe, job.seed, session)
    with (
        nullcontext(as_run(trained.model, device))
        if job.quantized is None
        else quantized(trained.model, spec, task, *job.quantized) as run
    ):
        scores = task.score(run, "test" if job.is_final else "val")
    metrics = {
        **checked_scores(task, scores, "test_" if job.is_final else ""),
        "train_loss": trained.train_loss,
        "train_seconds": trained.seconds,
        "examples_per_second": trained.examples / trained.seconds,
    }
    if job.checkpoint is not None:
        info = {**task.metadata, "metrics": metrics, "job": job.identity()}
        save_checkpoint(trained.model.cpu(), spec, spec.with_state(task.interface), job.checkpoint, info)
    if state is not None and job.until == 1:
        state.delete()
    return metrics


def known_metrics(job: TrainingJob) -> dict[str, float] | None:
    """What this very training gave, if its weights are still there."""
    if job.checkpoint is None or not job.checkpoint.exists():
        return None
    info = load_checkpoint(job.checkpoint).info
    return dict(info["metrics"]) if info.get("job") == job.identity() else None


def checked_scores(task: Task, scores: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    """The scores that a task gave, as metrics.

    Raises:
        TrainingError: They are no numbers, or its quality is not among them.
    """
    what = f"The score of {type(task).__name__}"
    with blamed(f"{what} is numbers by their names, but got {short(scores)}", TrainingError):
        numbers = {f"{prefix}{name}": float(value) for name, value in scores.items()}
    if task.quality not in scores:
        raise TrainingError(f"{what} has its quality {task.quality!r}, but it has {', '.join(scores)}.")
    return numbers


@dataclass(frozen=True)
class LookingJob:
    """All that is needed to look at an untrained network.

    Args:
        spec: As JSON data.
        task: What it is shown.
        recipe: Of its layout.
        seed: Of weights and examples.
    """

    spec: Mapping[str, Any]
    task: Task
    recipe: Recipe
    seed: int


def run_looking(job: LookingJob) -> dict[str, float]:
    """Metrics of one untrained network; see `zero_cost`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = job.task.network(spec_from_json(job.spec), replace(job.recipe, auxiliary=0.0, branch_scale=1.0))
    return zero_cost(model, job.task, job.seed)

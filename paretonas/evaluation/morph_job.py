"""What a worker is sent of a morph: training a network with MorphNet's regularizer, and reading which channels live."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paretonas.device.predictor import Predictor
from paretonas.errors import SpecError, StoreError
from paretonas.evaluation.job import checked_scores, origin
from paretonas.evaluation.keys import Lesson, digest
from paretonas.evaluation.widening import estimable
from paretonas.export.checkpoint import save_checkpoint
from paretonas.network import build
from paretonas.network.layout import Layout
from paretonas.network.operations import operations
from paretonas.network.resizing import resize
from paretonas.network.shapes import without_numbers
from paretonas.network.widths import spec_layout
from paretonas.space import Interface, Spec, read_json, spec_from_json
from paretonas.space.widths import WidthsSpec
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.training.fit import Session, as_run, fit, torch_device
from paretonas.training.morphnet import (
    CURVE,
    FIRST_SCALE,
    Penalised,
    Penalty,
    Sparsity,
    alive,
    kept_channels,
    scale_down,
    strengths,
)
from paretonas.training.progress import ProgressFile
from paretonas.training.recalibrate import recalibrate
from paretonas.training.resource import Resource
from paretonas.training.spending import ResourceOptions, Subject
from paretonas.training.state import StateFile
from paretonas.training.weights import Weights, load_weights

SLOW = 50
"""Steps after which the pressure of a resource that takes long to ask is looked up again."""
POINTS = 100
"""Of a curve that is kept."""
EXAMPLES = 1000
"""For the normalization statistics of a network that is cut: what is cut off was not all zero."""


@dataclass(frozen=True)
class Pruning:
    """How channels are made to die.

    Args:
        resource: What is saved.
        sparsity: Which channels live.
        strength: Of the regularizer; None: found within the training.
        shrink: Share of the cost that is wanted then.
        is_protected: Of each group whether its channels are left alone.
    """

    resource: ResourceOptions
    sparsity: Sparsity
    strength: float | None = None
    shrink: float = 0.5
    is_protected: tuple[bool, ...] = ()

    def identity(self) -> dict[str, Any]:
        """JSON data that tell it apart from others."""
        resource = {"name": type(self.resource).__name__, **vars(self.resource)}
        of = {name: value for name, value in vars(self).items() if name not in ("resource", "sparsity")}
        return {**of, "resource": resource, "sparsity": asdict(self.sparsity)}


@dataclass(frozen=True)
class MorphJob:
    """All that a worker needs to see which channels a network can spare.

    Args:
        base: The network as it was, as JSON data.
        widths: Of its groups now.
        task: What is learned.
        pruning: How channels are made to die.
        recipe: How it learns.
        seed: Of weights and batches.
        torch_device: Where.
        folder: For the state of the training.
        weights: That the network as it was begins with; None: fresh ones.
        predictor: Of its latency, where that is saved.
        fitted_on: What the predictor follows from; empty where there is none.
        file: Where the network of what lives goes, with its weights.
    """

    base: Mapping[str, Any]
    widths: tuple[int, ...]
    task: Task
    pruning: Pruning
    recipe: Recipe
    seed: int
    torch_device: str
    folder: Path
    weights: Weights | None = None
    predictor: Predictor | None = None
    fitted_on: str = ""
    file: Path | None = None

    @property
    def lesson(self) -> Lesson:
        """What decides the outcome beside the network."""
        pruning = json.dumps(self.pruning.identity(), sort_keys=True)
        learned = hashlib.sha256(f"{self.task.digest} {pruning} {self.fitted_on}".rstrip().encode()).hexdigest()[:16]
        return Lesson("Morph", learned, self.recipe, self.seed, origin(self.weights))

    def identity(self) -> dict[str, Any]:
        """What decides the outcome; JSON data."""
        return {"base": dict(self.base), "widths": list(self.widths), **self.lesson.to_json()}

    @property
    def _file(self) -> Path:
        return self.folder / f"morph-{digest(self.identity())}"

    @property
    def progress(self) -> Path:
        """File that tells how far it is."""
        return self._file.with_suffix(".progress")

    @property
    def state(self) -> Path:
        """File from which it goes on."""
        return self._file.with_suffix(".state")


@dataclass(frozen=True)
class Alive:
    """Which channels of a network live after such a training.

    Args:
        living: Channels above the threshold, in all groups.
        widths: Of each group, of the network of those that live.
        metrics: Of that network with its weights, on the validation part.
        curve: Step, strength, what the alive widths cost, and the regularizer, at some hundred steps.
        train_loss: Mean over the last epoch, with the regularizer.
        seconds: Of the training.
    """

    living: int
    widths: tuple[int, ...]
    metrics: Mapping[str, float]
    curve: tuple[tuple[float, ...], ...]
    train_loss: float
    seconds: float

    def told(self) -> dict[str, Any]:
        """What a trial keeps of the training; JSON data."""
        return {"strength": self.curve[-1][1], "curve": [list(point) for point in self.curve]}


def network_of(base: Spec, layout: Layout, widths: tuple[int, ...]) -> Spec:
    """The network in these widths; the network itself where they are its own."""
    return base if widths == layout.widths else WidthsSpec(base, widths)


def resource_of(
    options: ResourceOptions, base: Spec, interface: Interface, predictor: Predictor | None = None
) -> Resource:
    """What widths of a network cost.

    Args:
        options: Of what is spent.
        base: The network as it was.
        interface: What it is fed and gives.
        predictor: Of its latency; None: nobody has measured any.
    """
    with without_numbers():
        model = build(base, interface)
    estimate = None if predictor is None else partial(_estimate, predictor, base, interface)
    return options.of(Subject(model.to("meta"), spec_layout(base, interface), interface, estimate))


def _estimate(predictor: Predictor, base: Spec, interface: Interface, widths: tuple[int, ...]) -> float:
    layout = spec_layout(base, interface)
    allowed = estimable(layout, [group.nearest(width) for group, width in zip(layout.groups, widths, strict=True)])
    return predictor.estimate(operations(network_of(base, layout, allowed), interface)).latency_ms


def run_morph(job: MorphJob) -> Alive:
    """Train a network with the regularizer, from where it was stopped, and say which channels live; in a worker.

    Raises:
        TrainingError: It diverged.
    """
    base, task, pruning = spec_from_json(job.base), job.task, job.pruning
    interface = base.with_state(task.interface)
    layout = spec_layout(base, interface)
    resource = resource_of(pruning.resource, base, interface, job.predictor)
    every = SLOW if pruning.resource.is_estimated else 1
    penalty = Penalty(
        layout.resized(job.widths), resource, pruning.sparsity, pruning.strength, pruning.shrink, every,
        pruning.is_protected,
    )  # fmt: skip
    spec = network_of(base, layout, job.widths)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = task.network(spec, job.recipe)
    scale_down(model, penalty.layout, FIRST_SCALE)
    if job.weights is not None and spec is base:
        load_weights(model, job.weights.file, task.interface.outputs[0].shape[-1])
    job.folder.mkdir(parents=True, exist_ok=True)
    state = StateFile(job.state, job.identity())
    session = Session("train", torch_device(job.torch_device), state, on_step=ProgressFile(job.progress).step)
    trained = fit(
        model, Penalised(task, penalty, json.dumps(pruning.identity(), sort_keys=True)), job.recipe, job.seed, session
    )
    vectors = strengths(trained.model, penalty.layout, pruning.sparsity)
    kept = kept_channels(vectors, penalty.layout, pruning.sparsity, pruning.is_protected)
    widths = tuple(map(len, kept))
    metrics = _cut(job, trained.model, penalty.layout, kept)
    curve = trained.kept[CURVE].cpu().tolist()
    steps = sorted({round(i * (len(curve) - 1) / POINTS) for i in range(POINTS + 1)})
    state.delete()
    job.progress.unlink(missing_ok=True)
    living = sum(map(len, alive(vectors, pruning.sparsity)))
    points = tuple((step, *curve[step]) for step in steps)
    return Alive(living, widths, metrics, points, trained.train_loss, trained.seconds)


def _cut(job: MorphJob, model: nn.Module, layout: Layout, kept: list[list[int]]) -> dict[str, float]:
    """Score the network of the channels that are kept, with their weights, and leave it in the job's file."""
    base, task, device = spec_from_json(job.base), job.task, torch_device(job.torch_device)
    widths = tuple(map(len, kept))
    cut = resize(model, layout, widths, kept).to(device)
    recalibrate(cut, task, job.recipe, job.seed, EXAMPLES)
    metrics = checked_scores(task, task.score(as_run(cut, device), "val"))
    if job.file is not None:
        interface = base.with_state(task.interface)
        spec = network_of(base, spec_layout(base, interface), widths)
        save_checkpoint(cut.cpu(), spec, interface, job.file, {**task.metadata, "metrics": metrics})
    return metrics


def alive_from_json(data: object) -> Alive:
    """What a training left alive, checked.

    Raises:
        StoreError: A damaged row.
    """
    try:
        alive: Alive = read_json(Alive, data, "morph")
    except SpecError as error:
        raise StoreError(f"A stored step of a morph says which channels live, but: {error}") from None
    return alive

"""What workers are sent of a supernet: training its weights, and scoring one network by them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from paretonas.errors import TrainingError
from paretonas.evaluation.job import checked_scores, origin
from paretonas.evaluation.keys import Lesson, digest
from paretonas.files import written_aside
from paretonas.network.sharing import SharedWeights
from paretonas.network.weights import read_tensors, read_words
from paretonas.space import spec_from_json
from paretonas.task.recipe import Recipe
from paretonas.training.fit import Session, as_run, fit, torch_device
from paretonas.training.progress import ProgressFile
from paretonas.training.state import StateFile
from paretonas.training.supernet import Supernet
from paretonas.training.weights import SUPERNET, Weights, load_shared


@dataclass(frozen=True)
class SupernetJob:
    """All that a worker needs to train the weights of a supernet.

    Args:
        supernet: What learns.
        recipe: How.
        seed: Of weights, paths and batches.
        torch_device: Where.
        file: Where the weights go.
        weights: That it begins with; None: fresh ones.
    """

    supernet: Supernet
    recipe: Recipe
    seed: int
    torch_device: str
    file: Path
    weights: Weights | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the weights; JSON data."""
        return Lesson("Supernet", self.supernet.digest, self.recipe, self.seed, origin(self.weights)).to_json()

    def named(self, kind: str) -> SupernetJob:
        """The same, whose `file` is a folder, with a file in it by all that decides the weights."""
        return replace(self, file=self.file / f"{kind}-{digest(self.identity())}.safetensors")

    @property
    def progress(self) -> Path:
        """File that tells how far it is."""
        return self.file.with_suffix(".progress")

    @property
    def is_done(self) -> bool:
        """Whether the file holds these very weights."""
        try:
            return bool(read_words(self.file)[SUPERNET] == json.dumps(self.identity()))
        except (ValueError, KeyError):
            return False


def run_supernet(job: SupernetJob) -> float:
    """Train a supernet, from where it was stopped; runs in a worker.

    Returns:
        Seconds of training.

    Raises:
        TrainingError: It diverged.
    """
    job.file.parent.mkdir(parents=True, exist_ok=True)
    supernet, state = job.supernet, StateFile(job.file.with_suffix(".state"), job.identity())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        shared = supernet.network(supernet.typical, job.recipe)
        if job.weights is not None:
            largest = supernet.task.network(supernet.family.largest, job.recipe)
            load_shared(shared, job.weights.file, largest, supernet.interface.outputs[0].shape[-1])
    session = Session("train", torch_device(job.torch_device), state, on_step=ProgressFile(job.progress).step)
    trained = fit(shared, supernet, job.recipe, job.seed, session)
    assert isinstance(trained.model, SharedWeights)
    tensors = {role: tensor.detach().cpu().contiguous() for role, tensor in trained.model.tensors().items()}
    with written_aside(job.file) as draft:
        draft.write_bytes(save(tensors, {SUPERNET: json.dumps(job.identity())}))
    state.delete()
    job.progress.unlink(missing_ok=True)
    return trained.seconds


@dataclass(frozen=True)
class ScoringJob:
    """All that is needed to score one network by shared weights.

    Args:
        spec: As JSON data.
        supernet: Whose weights they are.
        recipe: Of the supernet's training.
        seed: Of the batches for the normalization statistics.
        torch_device: Where.
        file: Of the weights.
        examples: For the statistics.
    """

    spec: Mapping[str, Any]
    supernet: Supernet
    recipe: Recipe
    seed: int
    torch_device: str
    file: Path
    examples: int


def run_scoring(job: ScoringJob) -> dict[str, float]:
    """Metrics of a network on the validation part, by its part of the weights.

    Raises:
        TrainingError: The weights cannot be read.
        SpecError: It is no network of the supernet.
    """
    shared = _weights(job.file, job.file.stat().st_mtime_ns)
    network = job.supernet.subnet(shared, spec_from_json(job.spec), job.recipe, job.seed, job.examples)
    scores = job.supernet.score(as_run(network, torch_device(job.torch_device)), "val")
    return checked_scores(job.supernet, scores)


@lru_cache(maxsize=1)
def _weights(file: Path, written: int) -> SharedWeights:
    """Read once in a worker; `written` tells another training's weights apart."""
    try:
        return SharedWeights(read_tensors(file)[0])
    except ValueError as error:
        raise TrainingError(f"The weights of a supernet are a .safetensors file, but {file}: {error}") from None

"""The training of one network, as a worker gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from paretonas.data.images import ImageData, open_data
from paretonas.export.checkpoint import save_checkpoint
from paretonas.network import build
from paretonas.space import spec_from_json
from paretonas.task.recipe import Recipe
from paretonas.training.batches import MEAN, STD
from paretonas.training.classification import accuracy, predict, torch_device, train
from paretonas.training.progress import ProgressFile
from paretonas.training.state import StateFile


@dataclass(frozen=True)
class TrainingJob:
    """All that a worker needs to train and score one network.

    Args:
        spec: As JSON data.
        data: Folder of the prepared images.
        recipe: How.
        seed: Of weights and training.
        torch_device: Where.
        is_final: Train on all training images and score on the test images, instead of the search's splits.
        checkpoint: Where to leave the weights, if anywhere.
        progress: File that tells how far it is, if anybody wants to know.
        state: File from which an interrupted training goes on; None: it would begin anew.
        until: Share of the training after which it stops and is scored; the file allows to go on from there.
    """

    spec: Mapping[str, Any]
    data: Path
    recipe: Recipe
    seed: int
    torch_device: str = "auto"
    is_final: bool = False
    checkpoint: Path | None = None
    progress: Path | None = None
    state: Path | None = None
    until: float = 1.0


def job_identity(job: TrainingJob) -> dict[str, Any]:
    """What decides the outcome of a training; JSON data."""
    return {
        "spec": dict(job.spec),
        "data": _open_data(job.data).digest,
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "is_final": job.is_final,
    }


def run_training(job: TrainingJob) -> dict[str, float]:
    """Train and score one network; runs in a worker.

    Returns:
        `accuracy` (`test_accuracy` if final), `train_loss`, `train_seconds`, `images_per_second`.

    Raises:
        TrainingError: It diverged.
    """
    data, device, spec = _open_data(job.data), torch_device(job.torch_device), spec_from_json(job.spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = build(spec, len(data.classes), data.channels, job.recipe.dropout)
    images = data.full_train if job.is_final else data.train
    scored, name = (data.test, "test_accuracy") if job.is_final else (data.val, "accuracy")
    loaders = torch.get_num_threads() if data.is_streamed else 0
    state = None if job.state is None else StateFile(job.state, job_identity(job))
    trained = train(
        model,
        images,
        job.recipe,
        len(data.classes),
        job.seed,
        flip=data.flip,
        device=device,
        loaders=loaders,
        state=state,
        until=job.until,
        on_step=None if job.progress is None else ProgressFile(job.progress).step,
    )
    metrics = {
        name: accuracy(predict(trained.model, scored, device, loaders), scored.labels),
        "train_loss": trained.train_loss,
        "train_seconds": trained.seconds,
        "images_per_second": trained.images / trained.seconds,
    }
    if job.checkpoint is not None:
        shape = (1, data.channels, data.resolution, data.resolution)
        info = {"classes": data.classes, "mean": MEAN, "std": STD, "metrics": metrics, "job": job_identity(job)}
        save_checkpoint(trained.model.cpu(), spec, shape, job.checkpoint, info)
    if state is not None and job.until == 1:
        state.delete()
    return metrics


@lru_cache(maxsize=1)
def _open_data(folder: Path) -> ImageData:
    return open_data(folder)

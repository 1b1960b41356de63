"""One architecture becomes one trial's metrics: cost, latency on the device, accuracy after training.

What was paid for is cached and never computed twice: a latency under the spec, the images' shape and the
device; an accuracy under the spec, the data, the recipe, the fidelity and the seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch

from paretonas.device import Device
from paretonas.device.timing import Protocol as TimingProtocol
from paretonas.errors import StoreError
from paretonas.export.checkpoint import save_checkpoint
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.space import Spec, spec_from_json, spec_hash, spec_to_json
from paretonas.training.batches import MEAN, STD
from paretonas.training.classification import accuracy, predict, torch_device, train
from paretonas.training.data import ImageData, Split, open_data
from paretonas.training.progress import ProgressFile
from paretonas.training.recipe import Recipe
from paretonas.training.state import StateFile
from paretonas.trial import Latency, Metrics, latency_from_json

SCREEN, RECORD = TimingProtocol(pairs=10), TimingProtocol(pairs=20, attempts=6)
"""The second waits up to a minute for a slowed machine."""


@dataclass(frozen=True)
class TrainingJob:
    """All that a worker needs to train and score one network.

    Args:
        spec: As JSON data.
        data: Folder of the prepared images.
        recipe: How.
        epochs: Passes over the training images.
        seed: Of weights and training.
        torch_device: Where.
        is_final: Train on all training images and score on the test images, instead of the search's splits.
        checkpoint: Where to leave the weights, if anywhere.
        progress: File that tells how far it is, if anybody wants to know.
        state: File from which an interrupted training goes on; None: it would begin anew.
    """

    spec: Mapping[str, Any]
    data: Path
    recipe: Recipe
    epochs: float
    seed: int
    torch_device: str = "auto"
    is_final: bool = False
    checkpoint: Path | None = None
    progress: Path | None = None
    state: Path | None = None


def job_identity(job: TrainingJob) -> dict[str, Any]:
    """What decides the outcome of a training; JSON data."""
    return {
        "spec": dict(job.spec),
        "data": _open_data(job.data).digest,
        "recipe": asdict(replace(job.recipe, epochs=job.epochs)),
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
    recipe = replace(job.recipe, epochs=job.epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = build(spec, len(data.classes), data.channels, recipe.dropout)
    images = data.full_train if job.is_final else data.train
    scored, name = (data.test, "test_accuracy") if job.is_final else (data.val, "accuracy")
    loaders = torch.get_num_threads() if data.is_streamed else 0
    state = None if job.state is None else StateFile(job.state, job_identity(job))
    trained = train(
        model,
        images,
        recipe,
        len(data.classes),
        job.seed,
        flip=data.flip,
        device=device,
        loaders=loaders,
        state=state,
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
    if state is not None:
        state.delete()
    return metrics


@lru_cache(maxsize=1)
def _open_data(folder: Path) -> ImageData:
    return open_data(folder)


class Cache(Protocol):
    """Where evaluations are kept; a store is one."""

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was put under `key`, or None."""
        ...

    def put(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        """Keep `value` under `key`."""
        ...


class Evaluator:
    """Measures and trains for one search, through a cache.

    Args:
        cache: Where evaluations are kept.
        device: Where latency is measured.
        folder: For the reference network's file; may be emptied at any time.
        data: What is learned.
        recipe: How.
        seed: Of the training.
        torch_device: Where training runs.
    """

    def __init__(
        self,
        cache: Cache,
        device: Device,
        folder: Path,
        data: ImageData,
        recipe: Recipe,
        seed: int = 0,
        torch_device: str = "auto",
    ):
        self.data, self.device, self.recipe = data, device, recipe
        self._cache, self._folder, self._seed, self._torch_device = cache, folder, seed, torch_device
        self.input_shape = (1, data.channels, data.resolution, data.resolution)
        self.run = run_training

    @property
    def is_here(self) -> bool:
        """Whether the device is this machine, on which training runs too."""
        return self.device.transport.is_here

    def cost(self, spec: Spec) -> Metrics:
        """Params, MACs, weight bytes and peak memory."""
        return spec_cost(spec, self.data.resolution, len(self.data.classes), self.data.channels).metrics()

    def latency(self, spec: Spec, protocol: TimingProtocol = SCREEN) -> Latency:
        """The latency of one image through a network of `spec`; measured if the cache does not know it.

        Raises:
            ExportError: The network could not be exported, or its file disagrees with it.
            MeasureError: The file could not be timed.
        """
        key = {
            "spec": spec_hash(spec),
            "input_shape": list(self.input_shape),
            "classes": len(self.data.classes),
            "pairs": protocol.pairs,
            **self.device.identity,
        }
        known = self._cache.get("latency", key)
        if known is not None:
            return latency_from_json(known)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            model = build(spec, len(self.data.classes), self.data.channels)
        latency = time_model(self.device, model, spec, self.input_shape, self._folder, self._cache, protocol)
        self._cache.put("latency", key, asdict(latency))
        return latency

    def trained(self, spec: Spec, fidelity: float) -> Metrics | None:
        """What training of `spec` gave, if it was paid for before.

        Raises:
            StoreError: A damaged row.
        """
        known = self._cache.get("accuracy", self._accuracy_key(spec, fidelity))
        if known is not None and not ("accuracy" in known and all(isinstance(v, int | float) for v in known.values())):
            raise StoreError(
                f"A stored training holds numbers and an accuracy, but that of {spec_hash(spec)} is {known}."
            )
        return known

    def remember(self, spec: Spec, fidelity: float, metrics: Metrics) -> None:
        """Keep what training of `spec` gave."""
        self._cache.put("accuracy", self._accuracy_key(spec, fidelity), metrics)

    def job(self, spec: Spec, fidelity: float, state: Path | None = None) -> TrainingJob:
        """The training of `spec` on the search's training split; `state` is the file from which it can go on."""
        epochs = self.recipe.epochs * fidelity
        return TrainingJob(
            spec_to_json(spec), self.data.folder, self.recipe, epochs, self._seed, self._torch_device, state=state
        )

    def estimate(self, spec: Spec) -> float:
        """Seconds that training and scoring `spec` would take one thread, from three steps of it once it is warm.

        Raises:
            TrainingError: Three steps are enough to diverge.
        """
        images = 3 * self.recipe.batch_size
        data = self.data
        few = Split(data.train.images[:images], data.train.labels[:images])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                model = build(spec, len(data.classes), data.channels)
                device = torch_device(self._torch_device)
                epoch = replace(self.recipe, epochs=1)
                seconds = min(train(model, few, epoch, len(data.classes), 0, device=device).seconds for _ in range(2))
        finally:
            torch.set_num_threads(threads)
        passes = self.recipe.epochs * len(data.train) + len(data.val) / 3  # scoring is the forward third of a step
        return seconds / len(few) * passes

    def _accuracy_key(self, spec: Spec, fidelity: float) -> dict[str, Any]:
        return {
            "spec": spec_hash(spec),
            "data": self.data.digest,
            "recipe": asdict(self.recipe),
            "fidelity": fidelity,
            "seed": self._seed,
        }


def calibration(device: Device, input_shape: tuple[int, ...], folder: Path, cache: Cache) -> float:
    """Seconds of the device's reference network for images of `input_shape`: measured once, then the cache's."""
    key = {**device.identity, "input_shape": [1, *input_shape[1:]]}
    known = cache.get("calibration", key)
    if known is None:
        cache.put("calibration", key, asdict(device.calibrate(folder, input_shape, RECORD)))
        known = cache.get("calibration", key)
    return latency_from_json(known).calibrated


def time_model(
    device: Device,
    model: torch.nn.Module,
    spec: Spec,
    input_shape: tuple[int, ...],
    folder: Path,
    cache: Cache,
    protocol: TimingProtocol,
) -> Latency:
    """Export `model` to a passing file, check the file against it, and time it.

    Raises:
        ExportError: It could not be exported, or the file disagrees with it.
        MeasureError: The file could not be timed.
    """
    with tempfile.TemporaryDirectory(prefix="paretonas-") as passing:
        file = device.export(model, spec, input_shape, Path(passing, "candidate"))
        device.verify(model, file)
        return device.measure(file, folder, calibration(device, input_shape, folder, cache), protocol)


def latency_metrics(latency: Latency) -> dict[str, float]:
    """What a trial says of its latency: the headline, its spread, and how many flags it has."""
    return {
        "latency_ms": latency.latency_ms,
        "latency_spread": latency.spread,
        "latency_flags": len(set(latency.flags) - {"summary-only"}),
    }

"""One architecture becomes one trial's metrics: cost, latency on the device, accuracy after training.

What was paid for is cached and never computed twice: a latency under the spec, the images' shape and the
device; an accuracy under the spec, the data, the recipe, the fidelity and the seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from paretonas.data.images import ImageData, Split
from paretonas.device import Device
from paretonas.device.timing import Protocol as TimingProtocol
from paretonas.errors import StoreError
from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.latency import Latency, latency_from_json
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.space import Spec, spec_hash, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.training.batches import scoring_batches
from paretonas.training.classification import torch_device, train
from paretonas.training.zerocost import zero_cost
from paretonas.trial import Metrics

PROXY_IMAGES = 64
"""So many training images an untrained network is shown."""

SCREEN, RECORD = TimingProtocol(pairs=10), TimingProtocol(pairs=20, attempts=6)
"""The second waits up to a minute for a slowed machine."""


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

    def proxies(self, spec: Spec) -> Metrics:
        """Metrics of the untrained network on the first training images; see `zero_cost`.

        Raises:
            TrainingError: One is not a finite number.
            StoreError: A damaged row.
        """
        key = {"spec": spec_hash(spec), "data": self.data.digest, "seed": self._seed, "images": PROXY_IMAGES}
        known = self._cache.get("proxies", key)
        if known is None:
            train = self.data.train
            few = Split(train.images[:PROXY_IMAGES], train.labels[:PROXY_IMAGES])
            known = zero_cost(self._untrained(spec), next(scoring_batches(few)), torch.as_tensor(few.labels))
            self._cache.put("proxies", key, known)
        _check_numbers("metrics of an untrained network", spec, known)
        return known

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
        model = self._untrained(spec)
        latency = time_model(self.device, model, spec, self.input_shape, self._folder, self._cache, protocol)
        self._cache.put("latency", key, asdict(latency))
        return latency

    def trained(self, spec: Spec, fidelity: float) -> Metrics | None:
        """What training of `spec` gave, if it was paid for before.

        Raises:
            StoreError: A damaged row.
        """
        known = self._cache.get("accuracy", self._accuracy_key(spec, fidelity))
        if known is not None:
            _check_numbers("a training", spec, known, ("accuracy",))
        return known

    def remember(self, spec: Spec, fidelity: float, metrics: Metrics) -> None:
        """Keep what training of `spec` gave."""
        self._cache.put("accuracy", self._accuracy_key(spec, fidelity), metrics)

    def job(self, spec: Spec, fidelity: float, state: Path | None = None) -> TrainingJob:
        """That share of the training of `spec` on the search's training split; `state` is the file to go on from."""
        return TrainingJob(
            spec_to_json(spec),
            self.data.folder,
            self.recipe,
            self._seed,
            self._torch_device,
            state=state,
            until=fidelity,
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

    def _untrained(self, spec: Spec) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return build(spec, len(self.data.classes), self.data.channels)

    def _accuracy_key(self, spec: Spec, fidelity: float) -> dict[str, Any]:
        return {
            "spec": spec_hash(spec),
            "data": self.data.digest,
            "recipe": asdict(self.recipe),
            "fidelity": fidelity,
            "seed": self._seed,
        }


def _check_numbers(what: str, spec: Spec, known: Mapping[str, object], needed: Sequence[str] = ()) -> None:
    if not (set(needed) <= known.keys() and all(isinstance(value, int | float) for value in known.values())):
        names = f" and {', '.join(needed)}" if needed else ""
        raise StoreError(f"What is stored of {what} is numbers{names}, but of {spec_hash(spec)} it is {dict(known)}.")


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

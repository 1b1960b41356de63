"""Detectors on a backbone that stays as it is: its features are computed once, and necks and heads learn from those.

A wrapper of detection. The batches of the first epochs are kept, with the features of the backbone in the place of
images, and come again in other orders: each image is seen in as many views as there were such epochs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from paretonas.errors import MachineError, SpecError
from paretonas.files import refusals, written_aside
from paretonas.network.weights import read_tensors
from paretonas.space import Spec, spec_hash
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Part, Task
from paretonas.task.wrapper import Wrapper
from paretonas.training.weights import Weights

VIEWS = 8
"""Of each image."""
SEEN = ("batch_size", "crop", "min_area", "is_flipped")
"""Settings of a recipe that decide what a batch shows."""


@dataclass(frozen=True)
class OnFeatures(Wrapper):
    """Learning all of a detector but its backbone.

    Args:
        task: Of detection.
        backbone: Of all detectors.
        weights: Of the backbone, which networks are given before they learn.
        cache: Folder for features; may be emptied at any time.
    """

    task: Task
    backbone: Spec
    weights: Weights
    cache: Path

    @property
    def digest(self) -> str:
        options = [self.task.digest, spec_hash(self.backbone), self.weights.digest, VIEWS]
        return hashlib.sha256(json.dumps(options).encode()).hexdigest()[:32]

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        """The detector, whose backbone does not learn.

        Raises:
            SpecError: It has another backbone, or is none.
        """
        if spec.classifier != self.backbone or spec == self.backbone:
            raise SpecError(f"Detectors on features have the backbone {self.backbone}, but got {spec}.")
        network = self.task.network(spec, recipe)
        network.get_submodule("backbone").requires_grad_(False)
        return network

    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        """What is kept of each batch; else its file and the task's own batch, of which `loss` keeps it."""
        folder = self.cache / f"features-{self._key(part, recipe, seed)}"
        kept = VIEWS * (self.task.examples[part] // recipe.batch_of(self.task.examples[part]))
        for step in steps:
            number = _number(step, kept, seed)
            file = folder / f"{number}.safetensors"
            known = _read(file)
            if known is None:
                (batch,) = self.task.batches(part, recipe, seed, range(number, number + 1))
                yield file, batch
            else:
                yield None, known

    def _key(self, part: Part, recipe: Recipe, seed: int) -> str:
        seen = [getattr(recipe, name) for name in SEEN]
        return hashlib.sha256(json.dumps([self.digest, part, seed, *seen]).encode()).hexdigest()[:20]

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """The task's, of features."""
        file, (images, boxes, labels) = batch
        if file is not None:
            standing, shown = _Standing(model), images
        else:
            standing, shown = _Standing(model, images), torch.zeros(len(boxes), 3, 1, 1, dtype=torch.uint8)
        loss = self.task.loss(standing, (shown, boxes, labels), at)
        if file is not None:
            _keep(file, (*standing.features, *boxes, *labels), len(standing.features), len(boxes))
        return loss


class _Standing(nn.Module):
    """A detector that is given the features of its backbone, or computes them without learning.

    Attributes:
        features: Those that were given or computed.
    """

    def __init__(self, detector: nn.Module, features: tuple[Tensor, ...] = ()):
        super().__init__()
        self.detector, self.features = detector, features

    def forward(self, images: Tensor, *more: Any) -> Any:
        """What the detector gives for these images, or for the features."""
        if not self.features:
            backbone = self.detector.get_submodule("backbone").eval()
            with torch.no_grad():
                self.features = tuple(one.half().float() for one in backbone(images))  # as they come again
        return self.detector.from_features(self.features, *more)  # type: ignore[operator]


def _number(step: int, kept: int, seed: int) -> int:
    """Which of the kept batches comes in a step: first each in its turn, then all in other orders."""
    around, place = divmod(step, kept)
    return place if around == 0 else _order(kept, seed, around)[place]


@lru_cache(maxsize=2)
def _order(kept: int, seed: int, around: int) -> tuple[int, ...]:
    order = list(range(kept))
    Random(f"{seed}/features/{around}").shuffle(order)
    return tuple(order)


# Files: features in half precision, then boxes and labels of each image


def _keep(file: Path, tensors: Sequence[Tensor], features: int, images: int) -> None:
    """Write a batch; where the system refuses, it is computed again when it is needed."""
    named = {
        f"{i:04}": (tensor.half() if i < features else tensor).detach().cpu().contiguous()
        for i, tensor in enumerate(tensors)
    }
    with suppress(MachineError), refusals(f"{file} cannot be written"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(file) as draft:
            draft.write_bytes(save(named, {"features": str(features), "images": str(images)}))


def _read(file: Path) -> tuple[tuple[Tensor, ...], list[Tensor], list[Tensor]] | None:
    """Features, boxes and labels; None where there are none, or they were damaged."""
    try:
        tensors, words = read_tensors(file)
        features, images = int(words["features"]), int(words["images"])
        values = [tensors[f"{i:04}"] for i in range(features + 2 * images)]
    except (ValueError, KeyError):
        return None
    boxes = values[features : features + images]
    return tuple(one.float() for one in values[:features]), boxes, values[features + images :]

"""Classification of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.data.augment import MEAN, STD, Augmentation, scoring_batches, seed_of, to_input, training_batches
from paretonas.data.images import ImageData, Split, open_data, prepare_data
from paretonas.data.listing import DIGITS
from paretonas.data.source import DataSource
from paretonas.network import build
from paretonas.network.auxiliary import WithAuxiliary
from paretonas.network.drop_path import drop_paths
from paretonas.network.layers import scale_branches
from paretonas.space import Interface, Spec
from paretonas.task.confusion import TOP, Numbers, class_metrics, class_weights, confusions, largest_step, top_share
from paretonas.task.decode import top_classes
from paretonas.task.metadata import ImageClasses
from paretonas.task.prepared import PreparedTask
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Counting, Examination, Part, Run
from paretonas.zoo import zoo_spec

TOP_METRIC = f"top{TOP}_accuracy"
FULL_SIZE = 0.75
"""Share of a training after which images are shown in full size, where they are small at first."""
UNEQUAL = 0.5
"""Of the commonest class's images the rarest has fewer: this is said."""
OF_DIGEST = ("quality", "class_weights")
"""Options that matter to what is learned or kept of a score, and are not of the data's own digest."""


@dataclass(frozen=True)
class Classification(PreparedTask[ImageData]):
    """Which class an image shows; scored by accuracy, or by what counts all classes alike.

    Batches are drawn as uint8, augmented all at once where the images fit in memory, and only then become floats.

    Args:
        data: `digits`, a Parquet file or folder (columns image and label), or a tree of image folders.
        resolution: Side of the images in pixels; None: inferred.
        train_images: Size of the class-balanced part to train on; None: all.
        val_images: Size of the validation split; None: max(4 %, min(1000, 20 %)).
        skip_corrupt: Leave corrupt images out instead of stopping.
        stream: Decode images while training, even if they fit in memory.
        split_seed: Of the validation split and of the balanced part.
        image_column: Of Parquet files; None: the one of a common name.
        label_column: Of Parquet files; None: the one of a common name.
        max_pixels: Most pixels that an image may have; None: as many as Pillow takes for safe.
        quality: What a search is about, of the metrics that all are scored by.
        class_weights: `balanced` lets an example weigh the more in the loss the rarer its class is.

    Raises:
        DataError: A number out of its range.
    """

    data: str
    resolution: int | None = None
    train_images: int | None = None
    val_images: int | None = None
    skip_corrupt: bool = False
    stream: bool = False
    split_seed: int = 0
    image_column: str | None = None
    label_column: str | None = None
    max_pixels: int | None = None
    quality: Literal["accuracy", "balanced_accuracy", "macro_f1"] = "accuracy"
    class_weights: Literal["uniform", "balanced"] = "uniform"

    def __post_init__(self) -> None:
        self._source  # noqa: B018 - numbers out of range are refused
        if self.data != DIGITS:  # a recorded search goes on from any folder
            object.__setattr__(self, "data", str(Path(self.data).expanduser().resolve()))

    @property
    def _source(self) -> DataSource:
        return DataSource(
            self.data,
            resolution=self.resolution,
            train_images=self.train_images,
            val_images=self.val_images,
            skip_corrupt=self.skip_corrupt,
            seed=self.split_seed,
            stream=self.stream,
            image_column=self.image_column,
            label_column=self.label_column,
            max_pixels=self.max_pixels,
        )

    def _prepare(self, cache: Path, progress: Counting | None) -> ImageData:
        return prepare_data(self._source, cache, progress)

    def _open(self, folder: Path) -> ImageData:
        return _opened(folder)

    @property
    def interface(self) -> Interface:
        images = self.images
        return Interface.of_images(images.channels, images.resolution, len(images.classes))

    @property
    def digest(self) -> str:
        usual = Classification(self.data)
        options = [f"{name}={value}" for name in OF_DIGEST if (value := getattr(self, name)) != getattr(usual, name)]
        digest = self.images.digest
        return hashlib.sha256(" ".join((digest, *options)).encode()).hexdigest()[:16] if options else digest

    @property
    def typical(self) -> Spec:
        return zoo_spec("mobilenet-v2", resolution=self.images.resolution)

    @property
    def metadata(self) -> Mapping[str, Any]:
        told = ImageClasses.of(self.images.classes, self.images.channels, (MEAN, STD))
        return replace(told, max_pixels=self.max_pixels).to_json()

    def about(self) -> tuple[str, ...]:
        images = self.images
        lines = [
            f"data {self.data}: {len(images.train):,} training, {len(images.val):,} validation, "
            f"{len(images.test):,} test images, {images.channels} x {images.resolution} x {images.resolution}, "
            f"{len(images.classes)} classes"
        ]
        if images.skipped:
            names = ", ".join(images.skipped[:3]) + (", …" if len(images.skipped) > 3 else "")
            lines.append(f"{len(images.skipped)} corrupt images are left out: {names}")
        lines += self._about_classes()
        return (*lines, *images.notes)

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        network = build(spec, self.interface, recipe.dropout)
        if recipe.branch_scale < 1:
            scale_branches(network, recipe.branch_scale)
        if recipe.auxiliary and isinstance(network, WithAuxiliary):
            network.add_auxiliary(self.interface)
        return network

    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        split = self._split(part)
        augmentation = Augmentation(recipe.crop, recipe.min_area, recipe.is_flipped and self.images.flip)
        batches = training_batches(split, augmentation, recipe.batch_of(len(split)), seed, steps, self._loaders)
        if self.class_weights == "uniform":
            yield from batches
            return
        weights = torch.from_numpy(class_weights(split.labels, len(self.images.classes)))
        for images, labels in batches:
            yield images, labels, weights

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """Cross-entropy, through timm's mixup and cutmix if the recipe asks; with that of an auxiliary classifier."""
        (images, y, *weights), recipe, smoothing = batch, at.recipe, at.recipe.label_smoothing
        x = _shown(to_input(images), at).to(memory_format=at.memory_format)
        if recipe.mixup or recipe.cutmix:
            from timm.data.mixup import Mixup

            classes = self.interface.classes
            mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=smoothing, num_classes=classes)
            even = len(x) // 2 * 2  # timm mixes pairs
            global_state = np.random.get_state()  # which timm draws from
            np.random.seed(seed_of(at.seed, "mix", at.step) % 2**32)
            x, y = mix(x[:even], y[:even])
            np.random.set_state(global_state)
            smoothing = 0.0
        if recipe.drop_path:
            drop_paths(model, recipe.drop_path * at.step / at.steps)
        logits = model(x)
        logits, *auxiliary = (logits,) if isinstance(logits, Tensor) else logits
        loss = _cross_entropy(logits, y, smoothing, *weights)
        return loss + sum(recipe.auxiliary * _cross_entropy(other, y, smoothing, *weights) for other in auxiliary)

    @property
    def scores(self) -> tuple[str, ...]:
        """Before the data are read, all that there may be."""
        is_among_few = "images" in vars(self) and len(self.images.classes) <= TOP
        top = () if is_among_few else (TOP_METRIC,)
        return ("accuracy", "balanced_accuracy", "macro_f1", *top)

    def score(self, run: Run, part: Part) -> dict[str, float]:
        return self._scored(run, part)[0]

    def examine(self, run: Run, part: Part) -> Examination:
        """With the classes that were taken for others: see `confusions`."""
        metrics, found = self._scored(run, part)
        labels = self._split(part).labels
        details = {"confusions": confusions(labels, found, len(self.images.classes))}
        return Examination(metrics, largest_step(labels, self.quality), details)

    def _scored(self, run: Run, part: Part) -> tuple[dict[str, float], Numbers]:
        """The metrics, and the class that each example was taken for."""
        split, classes = self._split(part), len(self.images.classes)
        logits = np.concatenate([run((x.numpy(),))[0] for x in scoring_batches(split, self._loaders)])
        found = top_classes(logits)
        metrics = class_metrics(split.labels, found, classes)
        if classes > TOP:
            metrics[TOP_METRIC] = top_share(logits, split.labels)
        return metrics, found

    def _about_classes(self) -> list[str]:
        """A line where classes are unequal."""
        counts, names = np.bincount(self.images.train.labels, minlength=len(self.images.classes)), self.images.classes
        if self.class_weights == "balanced":
            return ["classes: each weighs as much as any other in the loss"]
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        if counts[rarest] >= UNEQUAL * counts[commonest]:
            return []
        return [
            f"unequal classes: {counts[rarest]:,} training images of {names[rarest]}, {counts[commonest]:,} of "
            f"{names[commonest]}; --task classification:class_weights=balanced lets all weigh alike in the loss, "
            "quality=balanced_accuracy in the score"
        ]

    def _split(self, part: Part) -> Split:
        split: Split = getattr(self.images, part)
        return split

    @property
    def _loaders(self) -> int:
        """Processes that decode images which do not fit in memory: as many as this one has threads."""
        return torch.get_num_threads() if self.images.is_streamed else 0


def _shown(x: Tensor, at: At) -> Tensor:
    """The images (N, C, H, W) as large as they are shown at this step, a multiple of an eighth of their side.

    Source: Tan and Le, EfficientNetV2, ICML 2021, section 4.2. Differs: only the size changes with it.
    """
    low, eighth = at.recipe.min_side, x.shape[-1] / 8
    share = low + (1 - low) * min(1.0, at.step / (FULL_SIZE * at.steps))
    side = round(max(1, round(8 * share)) * eighth)
    if side == x.shape[-1]:
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)


def _cross_entropy(logits: Tensor, y: Tensor, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Of classes or of shares of them, a mean; with weights of the classes, whose mean over the examples is 1."""
    if weights is None:
        return F.cross_entropy(logits, y, label_smoothing=smoothing)
    return F.cross_entropy(logits, y, weights, label_smoothing=smoothing, reduction="sum") / len(y)


@lru_cache(maxsize=2)
def _opened(folder: Path) -> ImageData:
    return open_data(folder)

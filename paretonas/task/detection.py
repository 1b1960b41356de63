"""Detection of objects: where in an image there is something, and of which class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from paretonas.data.augment import MEAN, STD, Augmentation, to_input
from paretonas.data.box_augment import box_batches
from paretonas.data.box_images import PADDING, BoxData, BoxSource, BoxSplit, open_boxes, prepare_boxes
from paretonas.errors import DataError, SpecError
from paretonas.network import build
from paretonas.space import Interface, Spec
from paretonas.space.detector import HeadKind
from paretonas.task.detecting import boxes_of, read_boxes
from paretonas.task.explaining import explain, truths_of
from paretonas.task.found import Boxes, Found
from paretonas.task.metadata import ImageBoxes
from paretonas.task.precision import Precision, average_precision
from paretonas.task.prepared import PreparedTask
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Counting, Examination, Part, Run, Usual
from paretonas.zoo import zoo_spec

SCORED_AT_ONCE = 16
TYPICAL = {
    "faster-rcnn": "faster-rcnn",
    "retinanet": "retinanet:backbone=mobilenet-v2,filters=64,separable=true",
    "ssdlite": "ssdlite",
}
SPACES = {"faster-rcnn": "faster-rcnn", "retinanet": "nas-fpn", "ssdlite": "ssdlite"}
MULTIPLES = {"faster-rcnn": 64, "retinanet": 128, "ssdlite": 32}
"""Of which the side of images is one."""


@dataclass(frozen=True)
class Detection(PreparedTask[BoxData]):
    """Where in an image there is something, and of which class; scored by COCO's average precision.

    Args:
        data: COCO's JSON, Pascal VOC's XML or YOLO's text files with their images.
        resolution: Longer side of the images in pixels, a multiple of 32, of 64 for `faster-rcnn`, of 128 for
            `retinanet`; the rest of the square is grey.
        detector: Which anchors and losses: `faster-rcnn`, `retinanet` or `ssdlite`; the space has such heads.
        train_images: Size of the part to train on; None: all.
        val_images: Size of the validation split; None: as for classification.
        skip_corrupt: Leave out images and boxes that cannot be used instead of stopping.
        split_seed: Of the validation split.
        mirrored: Whether a mirrored image still shows the same classes.
        max_pixels: Most pixels that an image may have; None: as many as Pillow takes for safe.

    Raises:
        DataError: A number out of its range.
    """

    data: str
    resolution: int = 256
    detector: HeadKind = "ssdlite"
    train_images: int | None = None
    val_images: int | None = None
    skip_corrupt: bool = False
    split_seed: int = 0
    mirrored: bool = True
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        self._source  # noqa: B018 - numbers out of range are refused
        if self.resolution % (multiple := MULTIPLES[self.detector]):
            raise DataError(
                f"A detector {self.detector} has images of a multiple of {multiple} pixels, but got "
                f"(resolution={self.resolution})."
            )
        object.__setattr__(self, "data", str(Path(self.data).expanduser().resolve()))

    @property
    def _source(self) -> BoxSource:
        return BoxSource(
            self.data,
            resolution=self.resolution,
            train_images=self.train_images,
            val_images=self.val_images,
            skip_corrupt=self.skip_corrupt,
            seed=self.split_seed,
            max_pixels=self.max_pixels,
        )

    def _prepare(self, cache: Path, progress: Counting | None) -> BoxData:
        return prepare_boxes(self._source, cache, progress)

    def _open(self, folder: Path) -> BoxData:
        return _opened(folder)

    @property
    def quality(self) -> str:
        return "ap"

    @property
    def usual(self) -> Usual:
        return Usual(SPACES[self.detector], "detection-search", "detection")

    @property
    def unused(self) -> tuple[str, ...]:
        return ("min_side", "branch_scale", "label_smoothing", "mixup", "cutmix", "dropout", "drop_path", "auxiliary")

    @property
    def scores(self) -> tuple[str, ...]:
        return ("ap", "ap50", "ap75")

    @property
    def interface(self) -> Interface:
        return self.typical.usual_interface(3, self.resolution, len(self.images.classes))

    @property
    def digest(self) -> str:
        options = f"{self.images.digest} {self.detector} {self.mirrored}"
        return hashlib.sha256(options.encode()).hexdigest()[:16]

    @property
    def typical(self) -> Spec:
        return zoo_spec(TYPICAL[self.detector])

    @property
    def metadata(self) -> Mapping[str, Any]:
        told = ImageBoxes(
            "boxes",
            self.images.classes,
            self.detector,
            "RGB",
            "NCHW",
            "longer-side",
            PADDING,
            "bilinear-antialiased",
            MEAN,
            STD,
            self.max_pixels,
        )
        return told.to_json()

    def about(self) -> tuple[str, ...]:
        images = self.images
        boxes = sum(map(len, images.full_train.boxes)) + sum(map(len, images.test.boxes))
        counts = ", ".join(
            f"{len(split):,} {name}"
            for name, split in zip(_PARTS, (images.train, images.val, images.test), strict=True)
        )
        lines = [
            f"data {self.data}: {counts} images, {images.resolution} pixels, {boxes:,} boxes, "
            f"{len(images.classes)} classes"
        ]
        if images.skipped:
            names = ", ".join(images.skipped[:3]) + (", …" if len(images.skipped) > 3 else "")
            lines.append(f"{len(images.skipped)} are left out: {names}")
        return (*lines, *images.notes)

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        """Raises `SpecError` where it is no such detector."""
        if spec.kind != "detector":
            raise SpecError(
                f"A task of detection has networks of kind 'detector', but got {spec.kind!r}. Choose a space of "
                f"detectors, such as --space {self.usual.space}."
            )
        return build(spec, spec.with_state(self.interface), recipe.dropout)

    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        split = self._split(part)
        augmentation = Augmentation(recipe.crop, recipe.min_area, recipe.is_flipped and self.mirrored)
        yield from box_batches(split, augmentation, recipe.batch_of(len(split)), seed, steps)

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """Of boxes and classes, summed."""
        images, boxes, labels = batch
        return self._boxes.learn(model, to_input(images).to(memory_format=at.memory_format), boxes, labels, at)

    def score(self, run: Run, part: Part) -> dict[str, float]:
        return _metrics(self.precision(self.see(partial(self.found, run), part), part))

    def examine(self, run: Run, part: Part) -> Examination:
        """With what is found of each class, from which score on, and some images."""
        split, found = self._split(part), self.see(partial(self.found, run), part)
        precision = self.precision(found, part)
        details, metadata = explain(split, found, precision, self.images.classes)
        step = 1 / len(split)  # an image of which all is seen otherwise
        return Examination(_metrics(precision), step, {"boxes": details}, metadata)

    def see(self, look: Callable[[np.ndarray], list[Found]], part: Part) -> list[Found]:
        """What is seen in each image of a part.

        Args:
            look: Looks at a few prepared images, uint8 (N, 3, R, R): `found` or `found_by_file` of a run.
            part: Which.
        """
        images = self._split(part).images
        return [one for i in range(0, len(images), SCORED_AT_ONCE) for one in look(images[i : i + SCORED_AT_ONCE])]

    def precision(self, found: Sequence[Found], part: Part) -> Precision:
        """Of what was seen in each image of a part."""
        return average_precision(truths_of(self._split(part)), found, len(self.images.classes))

    def found(self, run: Run, images: np.ndarray) -> list[Found]:
        """What a network sees in prepared images, uint8 (N, 3, R, R)."""
        x = to_input(torch.from_numpy(np.ascontiguousarray(images)))
        return self._boxes.found(*run((x.numpy(),)))

    def found_by_file(self, run: Run, images: np.ndarray) -> list[Found]:
        """What a file that ends in boxes sees in prepared images, one at a time."""
        x = to_input(torch.from_numpy(np.ascontiguousarray(images))).numpy()
        return [read_boxes(run((x[i : i + 1],)), len(self.images.classes)) for i in range(len(x))]

    @property
    def _boxes(self) -> Boxes:
        return boxes_of(self.detector, self.resolution, len(self.images.classes))

    def _split(self, part: Part) -> BoxSplit:
        split: BoxSplit = getattr(self.images, part)
        return split


_PARTS = ("training", "validation", "test")


def _metrics(precision: Precision) -> dict[str, float]:
    return {"ap": precision.ap, "ap50": precision.ap50, "ap75": precision.ap75}


@lru_cache(maxsize=2)
def _opened(folder: Path) -> BoxData:
    return open_boxes(folder)

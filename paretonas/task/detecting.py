"""From boxes to what a detector learns, and from what it gives to boxes: anchors, matching, losses, suppression.

All of it is torchvision's, whose detectors are made here without backbones.

Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; Liu et al., SSD, ECCV 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.errors import UsageError
from paretonas.space.detector import LEVELS, RETINANET_ANCHORS, SSD_STRIDES, HeadKind
from paretonas.task.finite import check_finite
from paretonas.task.found import KEPT_FROM, MOST_DETECTIONS, Boxes, Found
from paretonas.task.task import At
from paretonas.task.two_stage import Regions

NEAREST_SIZES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
ANCHOR_SIDE = 4
"""Of RetinaNet's smallest anchor, in strides of its level."""


def boxes_of(head: HeadKind, resolution: int, classes: int) -> Boxes:
    """What the outputs of that head say of square images.

    Args:
        head: Whose.
        resolution: Side of the images in pixels.
        classes: That are told apart.
    """
    return Regions(resolution, classes) if head == "faster-rcnn" else Anchors(head, resolution, classes)


def read_boxes(outputs: Sequence[NDArray[Any]], classes: int) -> Found:
    """What a file that ends in boxes gives for one image.

    Args:
        outputs: Boxes (k, 4), labels (k,) and scores (k,), the highest first.
        classes: That its metadata name.

    Raises:
        TrainingError: A number is not finite.
        UsageError: They are not as many of each, or a label is none of the classes.
    """
    boxes, labels, scores = outputs
    check_finite(boxes, scores)
    if not len(boxes) == len(labels) == len(scores) or not ((labels >= 0) & (labels < classes)).all():
        raise UsageError(
            f"A file that ends in boxes gives a label of its {classes} classes and a score for each, but got "
            f"{len(boxes)} boxes, {len(scores)} scores and the labels {sorted(set(labels.tolist()))[:9]}."
        )
    return Found(boxes, labels, scores)


@dataclass(frozen=True)
class Anchors(Boxes):
    """Anchors of all levels for square images, of a detector of one stage.

    Args:
        head: Whose.
        resolution: Side of the images in pixels.
        classes: That are told apart.
    """

    head: HeadKind
    resolution: int
    classes: int

    def learn(
        self, model: nn.Module, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor], at: At
    ) -> Tensor:
        logits, offsets = model(images)
        return self.loss(logits, offsets, boxes, labels)

    def loss(self, logits: Tensor, offsets: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
        """Of boxes and of classes, summed.

        Args:
            logits: (N, anchors, classes), with one for the background before them for SSDLite.
            offsets: (N, anchors, 4).
            boxes: (k, 4) of each image, in pixels.
            labels: (k,) of each.
        """
        model, anchors = _model(self)
        shift = int(self.head == "ssdlite")  # 0 is the background
        targets = [{"boxes": b, "labels": y + shift} for b, y in zip(boxes, labels, strict=True)]
        outputs = {"bbox_regression": offsets.float(), "cls_logits": logits.float()}
        everywhere = [anchors.to(offsets.device)] * len(targets)
        if self.head == "retinanet":
            losses = model.compute_loss(targets, outputs, everywhere)
        else:
            matched = [_matched(model, target["boxes"], everywhere[0]) for target in targets]
            losses = model.compute_loss(targets, outputs, everywhere, matched)
        return torch.stack(list(losses.values())).sum()

    def found(self, *outputs: NDArray[np.float32]) -> list[Found]:
        """The boxes of each image, in pixels of what the network was fed.

        Args:
            outputs: Logits (N, anchors, classes or one more) and offsets (N, anchors, 4).

        Raises:
            TrainingError: An output is not a finite number.
        """
        check_finite(*outputs)
        logits, offsets = outputs
        model, anchors = _model(self)
        said = {"bbox_regression": torch.from_numpy(offsets), "cls_logits": torch.from_numpy(logits)}
        n, shapes = len(offsets), [(self.resolution, self.resolution)] * len(offsets)
        with torch.inference_mode():
            if self.head == "retinanet":
                sizes = [RETINANET_ANCHORS * side * side for side in self.sides]
                split = {name: list(tensor.split(sizes, dim=1)) for name, tensor in said.items()}
                made = model.postprocess_detections(split, [list(anchors.split(sizes))] * n, shapes)
            else:
                made = model.postprocess_detections(said, [anchors] * n, shapes)
        shift = int(self.head == "ssdlite")
        return [Found(one["boxes"].numpy(), (one["labels"] - shift).numpy(), one["scores"].numpy()) for one in made]

    @property
    def detector(self) -> tuple[Any, Tensor]:
        """torchvision's, without a backbone, that does what comes after the network; and its anchors (n, 4), pixels."""
        return _model(self)

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the levels."""
        return SSD_STRIDES if self.head == "ssdlite" else tuple(2**level for level in LEVELS)

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the levels, in places."""
        return tuple(-(-self.resolution // stride) for stride in self.strides)


class _NoBackbone(nn.Module):
    out_channels = 1


@lru_cache(maxsize=4)
def _model(anchors: Anchors) -> tuple[Any, Tensor]:
    """A detector of torchvision's without backbone, and its anchors (all, 4) in pixels."""
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
    from torchvision.models.detection.image_list import ImageList
    from torchvision.models.detection.ssd import SSD, SSDHead

    side = anchors.resolution
    kept: dict[str, Any] = {"score_thresh": KEPT_FROM[anchors.head], "detections_per_img": MOST_DETECTIONS}
    if anchors.head == "retinanet":
        sizes = tuple(tuple(round(ANCHOR_SIDE * s * n) for n in NEAREST_SIZES) for s in anchors.strides)
        generator: Any = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
        model: Any = RetinaNet(_NoBackbone(), anchors.classes, anchor_generator=generator, **kept)
    else:
        generator = DefaultBoxGenerator([[2, 3]] * len(anchors.strides), min_ratio=0.2, max_ratio=0.95)
        head = SSDHead([1] * len(anchors.strides), generator.num_anchors_per_location(), anchors.classes + 1)
        model = SSD(_NoBackbone(), generator, (side, side), anchors.classes + 1, head=head, nms_thresh=0.55, **kept)
    features = [torch.zeros(1, 1, n, n) for n in anchors.sides]
    (made,) = generator(ImageList(torch.zeros(1, 1, side, side), [(side, side)]), features)
    return model, made


def _matched(model: Any, boxes: Tensor, anchors: Tensor) -> Tensor:
    """Which box each anchor learns; -1: none."""
    from torchvision.ops import box_iou

    if not len(boxes):
        return torch.full((len(anchors),), -1, dtype=torch.int64, device=anchors.device)
    matched: Tensor = model.proposal_matcher(box_iou(boxes, anchors))
    return matched

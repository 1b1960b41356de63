"""What a detector of two stages learns, and what its outputs say: matching, sampling, losses, suppression.

All of it is torchvision's, whose two stages are made here without networks. What is drawn of anchors and of regions
follows from the training's seed and the step's number.

Source: Ren et al., Faster R-CNN, NeurIPS 2015, sections 3.1.2 and 3.2; Lin et al., Feature Pyramid Networks for Object
Detection, CVPR 2017, section 5.2. Differs: 64 regions of an image are learned from, as in Girshick, Fast R-CNN, ICCV
2015, section 2.3, and not 512, and they are drawn of 500 proposals and not 2000: smaller images have fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.data.augment import seed_of
from paretonas.network.regions import OVERLAP, region_anchors
from paretonas.space.detector import REGION_LEVELS
from paretonas.task.finite import check_finite
from paretonas.task.found import KEPT_FROM, MOST_DETECTIONS, Boxes, Found
from paretonas.task.task import At

ANCHORS_LEARNED, REGIONS_LEARNED = 256, 64
"""Of an image, in a step."""
MOST_PROPOSALS = 500
"""Of a level before suppression, and of an image after it, of which those are drawn that are learned from."""

Targets = list[dict[str, Tensor]]
"""Of each image: `boxes` (k, 4) in pixels and `labels` (k,) from 1."""


@dataclass(frozen=True)
class Regions(Boxes):
    """Of Faster R-CNN, for square images.

    Args:
        resolution: Side of the images in pixels.
        classes: That are told apart.
    """

    resolution: int
    classes: int

    def learn(
        self, model: nn.Module, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor], at: At
    ) -> Tensor:
        targets = [{"boxes": b, "labels": y + 1} for b, y in zip(boxes, labels, strict=True)]  # 0 is the background
        chooser = Chooser(self, targets, at)
        logits, offsets, said, moved = (x.float() for x in model(images, chooser))
        first = _first_loss(self, (said, moved), targets, at)
        return torch.stack((*first, *_second_loss(logits, offsets, chooser))).sum()

    def found(self, *outputs: NDArray[np.float32]) -> list[Found]:
        """The boxes of each image, in pixels of what the network was fed.

        Args:
            outputs: Logits (N, proposals, classes + 1), the background first; offsets (N, proposals, 4 * (classes +
                1)), each class its own; proposals (N, proposals, 4) in pixels.

        Raises:
            TrainingError: An output is not a finite number.
        """
        check_finite(*outputs)
        logits, offsets, proposals = map(torch.from_numpy, outputs)
        shapes = [(self.resolution, self.resolution)] * len(logits)
        with torch.inference_mode():
            made = _stages(self).second.postprocess_detections(
                logits.flatten(0, 1), offsets.flatten(0, 1), list(proposals), shapes
            )
        return [Found(b.numpy(), (y - 1).numpy(), s.numpy()) for b, s, y in zip(*made, strict=True)]

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the levels, in places."""
        return tuple(self.resolution // 2**level for level in (*REGION_LEVELS, REGION_LEVELS[-1] + 1))


class Chooser:
    """Chooses the regions that the second stage learns from: proposals and true boxes, a quarter of them with objects.

    Whoever asks again, a student of the network, say, gets the same.

    Args:
        regions: Of which images and classes.
        targets: Of each image.
        at: Where the training stands.

    Attributes:
        labels: Of the regions, from 0, the background, once they are chosen.
        offsets: (k, 4), from each region to its box.
    """

    def __init__(self, regions: Regions, targets: Targets, at: At):
        self._regions, self._targets, self._at = regions, targets, at
        self._chosen: Tensor | None = None
        self.labels: list[Tensor] = []
        self.offsets: tuple[Tensor, ...] = ()

    @torch.no_grad()
    def __call__(self, logits: Sequence[Tensor], offsets: Sequence[Tensor]) -> Tensor:
        """What the first stage says of each level, (N, anchors) and (N, anchors, 4), to regions (k, 5)."""
        if self._chosen is None:
            stages, images, side = _stages(self._regions), len(logits[0]), self._regions.resolution
            said, moved = torch.cat(list(logits), dim=1).float(), torch.cat(list(offsets), dim=1).float()
            boxes = stages.first.box_coder.decode(moved.flatten(0, 1), [stages.anchors.to(said.device)] * images)
            sizes = [one.shape[1] for one in logits]
            proposals, _ = stages.first.filter_proposals(
                boxes.view(images, -1, 4), said, [(side, side)] * images, sizes
            )
            with _seeded(self._at, "regions"):
                drawn, _, self.labels, self.offsets = stages.second.select_training_samples(proposals, self._targets)
            self._chosen = torch.cat([_numbered(i, one) for i, one in enumerate(drawn)])
        return self._chosen


def _numbered(image: int, boxes: Tensor) -> Tensor:
    return torch.cat((torch.full_like(boxes[:, :1], image), boxes), dim=1)


@contextmanager
def _seeded(at: At, purpose: str) -> Iterator[None]:
    """What is drawn from torch's generator, as torchvision does, follows from the step; it is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(at.seed, purpose, at.step))
        yield


def _first_loss(regions: Regions, said: tuple[Tensor, Tensor], targets: Targets, at: At) -> tuple[Tensor, Tensor]:
    """Of objectness and of boxes; what is said of anchors are logits (N, anchors) and offsets (N, anchors, 4)."""
    logits, offsets = said
    stage, anchors = _stages(regions).first, [_stages(regions).anchors.to(logits.device)] * len(targets)
    labels, matched = stage.assign_targets_to_anchors(anchors, targets)
    wanted = stage.box_coder.encode(matched, anchors)
    with _seeded(at, "anchors"):
        losses: tuple[Tensor, Tensor] = stage.compute_loss(logits, offsets.flatten(0, 1), labels, wanted)
    return losses


def _second_loss(logits: Tensor, offsets: Tensor, chooser: Chooser) -> tuple[Tensor, Tensor]:
    """Of classes (k, classes + 1) and of boxes (k, 4 * (classes + 1))."""
    from torchvision.models.detection.roi_heads import fastrcnn_loss

    losses: tuple[Tensor, Tensor] = fastrcnn_loss(logits, offsets, chooser.labels, chooser.offsets)
    return losses


@dataclass(frozen=True)
class _Stages:
    """torchvision's two stages, and the anchors (all, 4) in pixels."""

    first: Any
    second: Any
    anchors: Tensor


@lru_cache(maxsize=4)
def _stages(regions: Regions) -> _Stages:
    from torchvision.models.detection.roi_heads import RoIHeads
    from torchvision.models.detection.rpn import RegionProposalNetwork

    most, nothing = {"training": MOST_PROPOSALS, "testing": MOST_PROPOSALS}, nn.Identity()
    first = RegionProposalNetwork(
        anchor_generator=nothing,
        head=nothing,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=ANCHORS_LEARNED,
        positive_fraction=0.5,
        pre_nms_top_n=most,
        post_nms_top_n=most,
        nms_thresh=OVERLAP,
    )
    second = RoIHeads(
        box_roi_pool=nothing,
        box_head=nothing,
        box_predictor=nothing,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=REGIONS_LEARNED,
        positive_fraction=0.25,
        bbox_reg_weights=None,  # torchvision's own
        score_thresh=KEPT_FROM["faster-rcnn"],
        nms_thresh=0.5,
        detections_per_img=MOST_DETECTIONS,
    )
    return _Stages(first, second, torch.cat(region_anchors(regions.sides, regions.resolution)))

"""What a training of a detector is fed: batches of images with their boxes, augmented together.

As in `augment.py`, what is random in a batch depends on the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from paretonas.data.augment import Augmentation, order_of_step, seed_of
from paretonas.data.box_images import BoxSplit

VISIBLE = 0.3
"""Share of a box that has to be left for it to be learned."""
SMALLEST = 1.0
"""Side in pixels below which a box is not learned."""

BoxBatch = tuple[Tensor, list[Tensor], list[Tensor]]
"""Images uint8 (N, 3, R, R); boxes (k, 4) of each, in pixels; labels (k,) of each."""


def box_batches(
    split: BoxSplit, augmentation: Augmentation, batch_size: int, seed: int, steps: range
) -> Iterator[BoxBatch]:
    """The batches of `steps`; an incomplete last batch of an epoch is dropped.

    Args:
        split: Images and boxes; those that are ignored are not learned.
        augmentation: Of every image: `min_area` below 1 enlarges a part of it, `crop` moves it.
        batch_size: N, at most the number of images.
        seed: Of the training.
        steps: Numbers of the steps, from 0 for the first of the training.
    """
    for step in steps:
        order = order_of_step(len(split), batch_size, seed, step)
        generator = torch.Generator().manual_seed(seed_of(seed, "augment", step))
        images = torch.from_numpy(np.ascontiguousarray(split.images[order.numpy()]))
        kept = [~split.is_ignored[i] for i in order]
        boxes = [torch.from_numpy(split.boxes[i][keep]).float() for i, keep in zip(order, kept, strict=True)]
        labels = [torch.from_numpy(split.labels[i][keep]) for i, keep in zip(order, kept, strict=True)]
        yield augment_boxes(images, boxes, labels, augmentation, generator)


def augment_boxes(
    images: Tensor, boxes: list[Tensor], labels: list[Tensor], augmentation: Augmentation, generator: torch.Generator
) -> BoxBatch:
    """Take a part of every image, move it, mirror half of them; boxes follow, and those of which little is left go.

    The part has the image's aspect and a share of its area uniform in [min_area, 1].

    Args:
        images: uint8 (N, 3, R, R).
        boxes: (k, 4) of each.
        labels: (k,) of each.
        augmentation: How much of it.
        generator: Draws.
    """
    n, side = len(images), images.shape[-1]
    area, x, y, mirror, right, down = torch.rand(6, n, generator=generator)
    share = (augmentation.min_area + (1 - augmentation.min_area) * area).sqrt()  # of the sides
    left = side * ((1 - share) * x + augmentation.crop * (2 * right - 1))
    top = side * ((1 - share) * y + augmentation.crop * (2 * down - 1))
    is_mirrored = (mirror < 0.5) & augmentation.flip
    moved = [moved_boxes(one, side, (left[i], top[i]), share[i], bool(is_mirrored[i])) for i, one in enumerate(boxes)]
    keep = [is_kept(one, side) for one in moved]
    images = _moved_images(images, (left, top), share, is_mirrored)
    clipped = [one[k].clamp(0, side) for one, k in zip(moved, keep, strict=True)]
    return images, clipped, [y[k] for y, k in zip(labels, keep, strict=True)]


def moved_boxes(boxes: Tensor, side: int, corner: tuple[Tensor, Tensor], share: Tensor, is_mirrored: bool) -> Tensor:
    """Boxes (k, 4) where a part of the image becomes the whole; not clipped.

    Args:
        boxes: In pixels of the image.
        side: Of the image.
        corner: Left and top of the part, in pixels.
        share: Of the sides that the part has.
        is_mirrored: Whether it is mirrored then.
    """
    left, top = corner
    moved = (boxes - torch.stack([left, top, left, top])) / share
    if is_mirrored:
        moved = torch.stack([side - moved[:, 2], moved[:, 1], side - moved[:, 0], moved[:, 3]], dim=1)
    return moved


def is_kept(boxes: Tensor, side: int) -> Tensor:
    """Whether enough of each box (k, 4) is inside an image of that side: (k,) bool."""
    inside = boxes.clamp(0, side)
    sides, seen = (b[:, 2:] - b[:, :2] for b in (boxes, inside))
    return (seen.prod(1) >= VISIBLE * sides.prod(1)) & (seen.min(1).values >= SMALLEST)


def _moved_images(images: Tensor, corner: tuple[Tensor, Tensor], share: Tensor, is_mirrored: Tensor) -> Tensor:
    """The parts as whole images; beyond the edge an image goes on with its outermost pixels."""
    n, side = len(images), images.shape[-1]
    left, top = (2 * at / side for at in corner)
    if not left.any() and not top.any() and (share == 1).all():
        return torch.where(is_mirrored[:, None, None, None], images.flip(3), images)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.where(is_mirrored, -share, share)
    theta[:, 1, 1] = share
    theta[:, 0, 2], theta[:, 1, 2] = left + share - 1, top + share - 1
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    found = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found.round_().to(torch.uint8)

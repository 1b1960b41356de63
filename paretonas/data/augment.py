"""What a training is fed: batches of augmented uint8 images, the same whenever and wherever it is taken up.

The images of an epoch come in an order that depends on the seed and the epoch, and what is random in a batch depends on
the seed and the step. So a training that goes on at step n needs nothing but n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from paretonas.data.images import Split
from paretonas.data.stream import (
    ASPECT,
    SCORING_BATCH,
    EncodedImages,
    scoring_stream,
    stream_batches,
    train_transform,
)

MEAN, STD = 0.5, 0.25
"""What networks are fed: `(pixel / 255 - MEAN) / STD`, in every channel."""

Batch = tuple[Tensor, Tensor]


def seed_of(seed: int, purpose: str, number: int) -> int:
    """A seed of its own for one purpose and one step or epoch of a training."""
    return Random(f"{seed}/{purpose}/{number}").getrandbits(63)


@dataclass(frozen=True)
class Augmentation:
    """What is done to an image at random.

    Args:
        crop: Padding around the image, as a share of its side, before a random crop of the old size.
        min_area: Below 1: instead, a random part of the image, of this share of its area or more.
        flip: Whether half of the images are mirrored.
    """

    crop: float = 0.0
    min_area: float = 1.0
    flip: bool = False


def training_batches(
    split: Split, augmentation: Augmentation, batch_size: int, seed: int, steps: range, loaders: int
) -> Iterator[Batch]:
    """The batches of `steps`, uint8 (N, C, H, W) and labels (N,); an incomplete last batch of an epoch is dropped.

    Args:
        split: Images in memory or encoded.
        augmentation: Of every image.
        batch_size: N, at most the number of images.
        seed: Of the training.
        steps: Numbers of the steps, from 0 for the first of the training.
        loaders: Processes that decode encoded images; 0: this one.
    """
    labels, crop, min_area, flip = torch.from_numpy(split.labels), *astuple(augmentation)
    orders = (order_of_step(len(labels), batch_size, seed, step) for step in steps)
    if isinstance(split.images, EncodedImages):
        side = split.images.resolution
        transform = train_transform(side, min_area, round(crop * side), flip)
        seeded = (
            [(int(index), seed_of(seed, f"image {i}", step)) for i, index in enumerate(order)]
            for order, step in zip(orders, steps, strict=True)
        )
        yield from stream_batches(split.images, labels, seeded, transform, loaders)
        return
    images = torch.from_numpy(np.ascontiguousarray(split.images))
    for order, step in zip(orders, steps, strict=True):
        generator = torch.Generator().manual_seed(seed_of(seed, "augment", step))
        if min_area < 1:
            yield cut(images[order], generator, min_area, flip), labels[order]
        else:
            yield augment(images[order], generator, round(crop * images.shape[-1]), flip), labels[order]


def scoring_batches(split: Split, loaders: int = 0) -> Iterator[Tensor]:
    """The images of `split` as the networks are fed them, float (N, C, H, W), in order."""
    if isinstance(split.images, EncodedImages):
        yield from map(to_input, scoring_stream(split.images, loaders))
        return
    for i in range(0, len(split.labels), SCORING_BATCH):
        yield to_input(torch.from_numpy(np.ascontiguousarray(split.images[i : i + SCORING_BATCH])))


def to_input(images: Tensor) -> Tensor:
    """Pixels, uint8 (N, C, H, W), as networks are fed them: float, channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255).sub_(MEAN).div_(STD)


def augment(images: Tensor, generator: torch.Generator, padding: int, flip: bool) -> Tensor:
    """Shift every image by up to `padding` pixels, zeros coming in, and mirror half of them.

    Args:
        images: uint8 (N, C, H, W).
        generator: Draws the shifts.
        padding: In pixels.
        flip: Whether to mirror.

    Returns:
        uint8 (N, C, H, W), channels last in memory.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)
    rows = top + torch.arange(height)  # (N, H)
    columns = torch.arange(width).expand(n, width)
    if flip:
        is_mirrored = torch.randint(0, 2, (n, 1), generator=generator).bool()
        columns = torch.where(is_mirrored, columns.flip(1), columns)
    columns = left + columns  # (N, W)
    which = torch.arange(n)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # gathered as (N, H, W, C)


def cut(images: Tensor, generator: torch.Generator, min_area: float, flip: bool) -> Tensor:
    """A random part of every image scaled to the whole, and half of them mirrored.

    The part has a share of the area uniform in [min_area, 1] and an aspect log-uniform in [3/4, 4/3], cut to fit.

    Args:
        images: uint8 (N, C, H, W).
        generator: Draws the parts.
        min_area: In (0, 1].
        flip: Whether to mirror.

    Returns:
        uint8 (N, C, H, W).

    Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6, as in the MnasNet release.
    Differs: bilinear sampling of the pixels at hand; a part that would stick out is cut instead of drawn again.
    """
    n = len(images)
    area, aspect, x, y, mirror = torch.rand(5, n, generator=generator)
    low, high = np.log(ASPECT)
    root = (min_area + (1 - min_area) * area).sqrt()
    stretch = (low + (high - low) * aspect).div(2).exp()
    width, height = (root * stretch).clamp(max=1.0), (root / stretch).clamp(max=1.0)  # shares of the sides
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.where(mirror < 0.5, -width, width) if flip else width
    theta[:, 1, 1] = height
    theta[:, 0, 2], theta[:, 1, 2] = (1 - width) * (2 * x - 1), (1 - height) * (2 * y - 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    found = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found.round_().to(torch.uint8)


def order_of_step(n: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Which of n examples are in the batch of a step: (batch_size,) int64; every epoch has an order of its own."""
    epoch, place = divmod(step, n // batch_size)
    return _order(n, seed, epoch)[place * batch_size : (place + 1) * batch_size]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed_of(seed, "order", epoch)))

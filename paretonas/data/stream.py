"""Batches of images that are decoded and augmented while the network trains, by loader processes if asked.

A seed for every image decides its augmentation, so the outcome is the same for any number of loaders, and a training
can go on from any step with the batches from there on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from paretonas.data.encoded import EncodedImages
from paretonas.data.pixels import to_square
from paretonas.errors import ParetonasError, WorkerError

__all__ = ["EncodedImages", "scoring_stream", "stream_batches", "train_transform"]

ASPECT = (3 / 4, 4 / 3)
SCORING_BATCH = 256

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Image.Image], Tensor]
"""From a whole RGB image to uint8 (3, R, R). Loaders get it pickled."""


def stream_batches(
    images: EncodedImages,
    labels: Tensor,
    batches: Iterable[Sequence[tuple[int, int]]],
    transform: Transform,
    loaders: int,
) -> Iterator[Batch]:
    """Decode and augment one batch after the other.

    Args:
        images: n images.
        labels: (n,) int64.
        batches: Index and seed of each image of a batch; the seed alone decides what is random for the image. Loaders
            are two batches ahead, each.
        transform: See `train_transform`.
        loaders: Processes of one thread that decode; 0: this process does. They end with this process, however it does.

    Returns:
        uint8 (N, C, R, R) and int64 (N,), in the order of `batches`.

    Raises:
        DataError: An image cannot be decoded any more.
        MachineError: The machine refuses.
        WorkerError: A loader died.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # workers are pinned to few cores
        loader: DataLoader[Batch | ParetonasError] = DataLoader(
            _Batches(images, labels.numpy(), transform),
            batch_size=None,  # the sampler gives whole batches
            sampler=batches,
            num_workers=loaders,
            collate_fn=_unchanged,
            generator=torch.Generator(),  # it draws a seed that we do not use: not from the training's generator
            multiprocessing_context="spawn" if loaders else None,  # a fork would copy torch's threads in mid-step
        )
    try:
        for batch in loader:
            if isinstance(batch, ParetonasError):
                raise batch
            yield batch
    except RuntimeError as error:
        if not loaders:
            raise
        raise WorkerError(
            f"A process that decodes images did not come to its end: {error}. If it ran out of memory, use fewer "
            "workers or smaller batches."
        ) from error


def scoring_stream(images: EncodedImages, loaders: int) -> Iterator[Tensor]:
    """All images in order as uint8 (N, C, R, R): what `EncodedImages.pixels` gives, 256 a batch.

    Raises:
        DataError: An image cannot be decoded any more.
        MachineError: The machine refuses.
        WorkerError: A loader died.
    """
    n = len(images)
    batches = ([(i, 0) for i in range(first, min(first + SCORING_BATCH, n))] for first in range(0, n, SCORING_BATCH))
    square = train_transform(images.resolution, min_area=1.0, padding=0, flip=False)
    for pixels, _ in stream_batches(images, torch.zeros(n, dtype=torch.int64), batches, square, loaders):
        yield pixels


def train_transform(resolution: int, min_area: float, padding: int, flip: bool) -> Transform:
    """Augmentation of a whole image.

    Args:
        resolution: R, in pixels.
        min_area: Below 1: a random part of the image, of this share of its area or more and of aspect 3/4 to 4/3, is
            scaled to R x R.
        padding: Otherwise: the image is scaled and cut as for scoring, and R x R pixels are cut at random from it and
            so many zeros around it.
        flip: Whether half of the images are mirrored.

    Returns:
        From a whole RGB image to uint8 (3, R, R). Draws from PyTorch's global generator.

    Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6, as in the MnasNet release.
    """
    from torchvision.transforms import v2  # seconds, and only streamed images need it

    steps: list[Callable[[Any], Any]]
    if min_area < 1:
        part = v2.RandomResizedCrop(resolution, scale=(min_area, 1.0), ratio=ASPECT, antialias=True)
        steps = [v2.PILToTensor(), part]
    else:
        steps = [_Square(resolution), v2.PILToTensor()]
        steps += [v2.RandomCrop(resolution, padding=padding)] if padding else []
    steps += [v2.RandomHorizontalFlip()] if flip else []
    transform: Transform = v2.Compose(steps)
    return transform


@dataclass(frozen=True)
class _Square:
    resolution: int

    def __call__(self, image: Image.Image) -> Image.Image:
        return to_square(image, self.resolution)


@dataclass(frozen=True)
class _Batches(Dataset[Batch | ParetonasError]):
    """Indexed by batches. An error is handed over as a value: one raised in a loader would arrive as a traceback."""

    images: EncodedImages
    labels: np.ndarray
    transform: Transform

    def __getitem__(self, batch: Sequence[tuple[int, int]]) -> Batch | ParetonasError:
        try:
            pixels = torch.stack([self._augmented(index, seed) for index, seed in batch])
        except ParetonasError as error:
            return error
        return pixels, torch.from_numpy(self.labels[[index for index, _ in batch]])

    def _augmented(self, index: int, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.transform(self.images.image(index))[: self.images.channels]


def _unchanged(batch: Any) -> Any:
    return batch

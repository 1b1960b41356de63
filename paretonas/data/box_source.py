"""Which data for detection are meant, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paretonas.data.boxes import BoxListing
from paretonas.data.source import MOST_PIXELS, check_learned, divide_images
from paretonas.errors import DataError

LOWEST, HIGHEST, STEP = 64, 2048, 32
"""Resolutions in pixels."""


@dataclass(frozen=True)
class BoxSource:
    """What the user asked for.

    Args:
        path: A file or a folder: see `list_boxes`.
        resolution: R: the longer side of an image becomes so many pixels, and the rest of a square is filled up; 64 to
            2048, a multiple of 32.
        train_images: Train on a part of this size. None: on all training images.
        val_images: Size of the validation split. None: max(4 %, min(1,000 images, 20 %)) of the training data, or the
            whole validation split that the data bring along.
        skip_corrupt: Leave images and annotations that cannot be used out instead of stopping.
        seed: Of the validation split and of the part.
        max_pixels: Most pixels that an image may have. None: 89,478,485, Pillow's guard against files that are made to
            fill the memory.

    Raises:
        DataError: A number is out of its range, or the path is none.
    """

    path: str
    resolution: int = 320
    train_images: int | None = None
    val_images: int | None = None
    skip_corrupt: bool = False
    seed: int = 0
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if not self.path.strip() or "://" in self.path:
            raise DataError(f"Data are a file or a folder of this machine, but got {self.path!r}.")
        if not LOWEST <= self.resolution <= HIGHEST or self.resolution % STEP:
            raise DataError(
                f"`{LOWEST} <= resolution <= {HIGHEST}` must hold, in steps of {STEP}, but resolution is "
                f"{self.resolution}."
            )
        for name in ("train_images", "val_images"):
            asked = getattr(self, name)
            if asked is not None and asked < 1:
                raise DataError(f"`{name} >= 1` must hold, but {name} is {asked}.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"`0 <= seed < 2**32` must hold, but seed is {self.seed}.")
        if self.max_pixels is not None and not 1 <= self.max_pixels <= MOST_PIXELS:
            raise DataError(f"`1 <= max_pixels <= {MOST_PIXELS}` must hold, but max_pixels is {self.max_pixels}.")


def split_boxes(listing: BoxListing, kept: np.ndarray, source: BoxSource) -> list[np.ndarray]:
    """Positions in the listing of the images of each of `PARTS`; see `prepare_data` for the rules.

    What keeps its proportions is the rarest class that an image shows; images without boxes count as a class.

    Args:
        listing: n images.
        kept: (m,) positions of those that can be decoded.
        source: `train_images`, `val_images` and `seed` are used.

    Raises:
        DataError: A class has no training image, or an asked size does not fit the data.
    """
    learned = [listing.labels[index][~listing.is_ignored[index]] for index in kept]
    is_train = listing.splits[kept] == "train"
    shown = [labels for labels, is_learned in zip(learned, is_train, strict=True) if is_learned]
    check_learned(np.concatenate([*shown, np.zeros(0, np.int64)]), listing.classes)
    strata = rarest_classes(learned, len(listing.classes))
    return [kept[part] for part in divide_images(strata, listing.splits[kept], source, 1)]


def rarest_classes(labels: list[np.ndarray], classes: int) -> np.ndarray:
    """The class of each image that the fewest images show.

    Args:
        labels: Of each of n images (k,) int64.
        classes: How many there are.

    Returns:
        (n,) int64; `classes` for an image without labels.

    >>> rarest_classes([np.array([0, 0, 1]), np.array([0]), np.array([], int)], 2).tolist()
    [1, 0, 2]
    """
    owners = np.repeat(np.arange(len(labels)), [len(one) for one in labels])
    pairs = np.unique(np.stack([owners, np.concatenate([*labels, np.zeros(0, np.int64)])]), axis=1).astype(np.int64)
    by_frequency = np.argsort(np.bincount(pairs[1], minlength=classes), kind="stable")
    place = np.append(np.argsort(by_frequency), classes)  # from the rarest on
    rarest = np.full(len(labels), classes)
    np.minimum.at(rarest, pairs[0], place[pairs[1]])
    return np.asarray(np.append(by_frequency, classes)[rarest])

"""Which data are meant, and how they are divided into what is learned from, chosen by and tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from paretonas.errors import DataError

MOST_PIXELS = 10**10
SHOWN = 5
PARTS = ("train", "left_out", "val", "test")


@dataclass(frozen=True)
class DataSource:
    """What the user asked for.

    Args:
        path: "digits", a Parquet file, a folder of Parquet files, or a tree of class folders: see `list_images`.
        resolution: Side of the square images in pixels, 8 to 1024. None: the median of the shorter sides, rounded to a
            multiple of 8 and at most 224.
        train_images: Train on a class-balanced part of this size. None: on all training images.
        val_images: Size of the validation split. None: max(4 %, min(1,000 images, 20 %)) of the training data, or the
            whole validation split that the data bring along.
        skip_corrupt: Leave corrupt images out instead of stopping.
        seed: Of the validation split and of the balanced part.
        stream: Decode images anew whenever they are needed, which is done anyway with data that do not fit in memory.
        image_column: Of Parquet files. None: the one of a common name.
        label_column: Of Parquet files. None: the one of a common name.
        max_pixels: Most pixels that an image may have. None: 89,478,485, Pillow's guard against files that are made to
            fill the memory.

    Raises:
        DataError: A number is out of its range, or the path is none.
    """

    path: str
    resolution: int | None = None
    train_images: int | None = None
    val_images: int | None = None
    skip_corrupt: bool = False
    seed: int = 0
    stream: bool = False
    image_column: str | None = None
    label_column: str | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if not self.path.strip() or "://" in self.path:
            raise DataError(f"Data are a file or a folder of this machine, or 'digits', but got {self.path!r}.")
        if self.resolution is not None and not 8 <= self.resolution <= 1024:
            raise DataError(f"`8 <= resolution <= 1024` must hold, but resolution is {self.resolution}.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"`0 <= seed < 2**32` must hold, but seed is {self.seed}.")
        if self.max_pixels is not None and not 1 <= self.max_pixels <= MOST_PIXELS:
            raise DataError(f"`1 <= max_pixels <= {MOST_PIXELS}` must hold, but max_pixels is {self.max_pixels}.")


class Division(Protocol):
    """What is asked of how images are divided; see `DataSource`."""

    @property
    def train_images(self) -> int | None: ...

    @property
    def val_images(self) -> int | None: ...

    @property
    def seed(self) -> int: ...


def pick(labels: np.ndarray, size: int, rng: np.random.Generator, *, stratified: bool) -> np.ndarray:
    """Choose `size` images at random: stratified, or as many of each class as possible.

    Images get random ranks r = 0, 1, … within their class, and those with the smallest keys are chosen. The balanced
    key is r. The stratified key is (r + 1/2) / n for a class of n images, which shares out `size` by the Sainte-Laguë
    method, except that every class first gets one image and its last one goes last.

    Args:
        labels: (n,) int64.
        size: At most n.
        rng: Used for all of it.
        stratified: Keep the proportions of the classes.

    Returns:
        Positions of the chosen images.

    >>> chosen = pick(np.array([0] * 6 + [1] * 3), 3, np.random.default_rng(0), stratified=True)
    >>> sorted("aaaaaabbb"[i] for i in chosen)
    ['a', 'a', 'b']
    """
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    counts = np.bincount(shuffled)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[np.argsort(shuffled, kind="stable")] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = rank.astype(float)
    if stratified:
        class_size = counts[shuffled]
        key = np.where(rank == 0, 0, (rank + 0.5) / class_size)
        key[rank == class_size - 1] = np.inf
    return order[np.argsort(key, kind="stable")[:size]]


def split_images(
    labels: np.ndarray, splits: np.ndarray, classes: Sequence[str], source: DataSource
) -> list[np.ndarray]:
    """Positions of the images of each of `PARTS`; see `prepare_data` for the rules.

    Args:
        labels: (n,) int64 indices into `classes`.
        splits: (n,) strings: the split that the data name.
        classes: Names of the classes.
        source: `train_images`, `val_images` and `seed` are used.

    Raises:
        DataError: A class has no training image, or an asked size does not fit the data.
    """
    if len(classes) < 2:
        raise DataError(f"There must be two classes at least, but there is only {', '.join(classes)!r}.")
    check_learned(labels[splits == "train"], classes)
    return divide_images(labels, splits, source, len(classes))


def divide_images(labels: np.ndarray, splits: np.ndarray, source: Division, fewest: int) -> list[np.ndarray]:
    """Positions of the images of each of `PARTS`, in random order; see `prepare_data` for the rules.

    Args:
        labels: (n,) int64: what a part keeps the proportions of.
        splits: (n,) strings: the split that the data name.
        source: What is asked.
        fewest: Images of a part: one of each class.

    Raises:
        DataError: An asked size does not fit the data.
    """
    rng = np.random.default_rng(source.seed)
    train, val, test = (np.flatnonzero(splits == name) for name in ("train", "val", "test"))
    if not len(test):
        test, val = val, test
    if not len(test):
        size = max(len(train) // 5, fewest)
        _check_size("test_images", size, fewest, len(train) - fewest)
        test, train = _divide(labels, train, size, np.random.default_rng(0), stratified=True)
    left_out = val[:0]
    if not len(val):
        size = max(len(train) // 25, min(1000, len(train) // 5), fewest)
        size = size if source.val_images is None else source.val_images
        _check_size("val_images", size, fewest, len(train) - fewest)
        val, train = _divide(labels, train, size, rng, stratified=True)
    elif source.val_images is not None:
        _check_size("val_images", source.val_images, fewest, len(val))
        val, left_out = _divide(labels, val, source.val_images, rng, stratified=True)
    if source.train_images is not None:
        _check_size("train_images", source.train_images, fewest, len(train))
        train, rest = _divide(labels, train, source.train_images, rng, stratified=False)
        left_out = np.concatenate([left_out, rest])
    return [rng.permutation(part) for part in (train, left_out, val, test)]


def describe_unseen(part: str, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    """A line on the classes that have no image in a part that is scored, or none.

    >>> describe_unseen("test", np.array([0, 0]), ["cat", "dog"])
    ('no test image is of 1 of 2 classes: dog',)
    """
    unseen = [classes[i] for i in np.setdiff1d(np.arange(len(classes)), labels)]
    some = ", ".join(unseen[:SHOWN]) + (", …" if len(unseen) > SHOWN else "")
    return (f"no {part} image is of {len(unseen)} of {len(classes)} classes: {some}",) if unseen else ()


def _divide(
    labels: np.ndarray, pool: np.ndarray, size: int, rng: np.random.Generator, *, stratified: bool
) -> tuple[np.ndarray, np.ndarray]:
    chosen = pick(labels[pool], size, rng, stratified=stratified)
    return pool[chosen], np.delete(pool, chosen)


def _check_size(name: str, size: int, low: int, high: int) -> None:
    if low > high:
        raise DataError(
            f"{name} must hold {low} images at least, one of each class, but only {high} can be spared. Add images."
        )
    if not low <= size <= high:
        raise DataError(
            f"`{low} <= {name} <= {high}` must hold for the classes and the images there are, but {name} is {size}."
        )


def check_learned(labels: np.ndarray, classes: Sequence[str]) -> None:
    """Check that the labels of the training images are of all classes.

    Raises:
        DataError: A class has none.
    """
    absent = [
        name for name, count in zip(classes, np.bincount(labels, minlength=len(classes)), strict=True) if not count
    ]
    if absent:
        raise DataError(
            f"Every class must have a training image, but {len(absent)} of {len(classes)} have none: "
            f"{', '.join(absent[:20])}. Add images, or remove the class."
        )

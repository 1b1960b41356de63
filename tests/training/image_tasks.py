"""Classification of images that lie in memory, without a data set on disk."""

from pathlib import Path

import numpy as np

from paretonas.data.images import ImageData, Split
from paretonas.task.classification import Classification


def task_of(images, labels, flip=True):
    """A task that learns from these images and is scored on them too.

    Args:
        images: (n, C, R, R) uint8.
        labels: (n,).
        flip: Whether mirrored images mean the same.
    """
    split = Split(images.astype(np.uint8), labels.astype(np.int64))
    task = Classification("in memory")
    vars(task)["images"] = ImageData(
        train=split,
        val=split,
        test=split,
        full_train=split,
        classes=tuple(map(str, range(labels.max() + 1))),
        resolution=images.shape[-1],
        channels=images.shape[1],
        flip=flip,
        digest="in memory",
        skipped=(),
        folder=Path("nowhere"),
    )
    return task


def visible(n=64, channels=1, side=8, classes=2):
    """Images whose class is visible: dark or bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    return task_of(rng.integers(0, 40, (n, channels, side, side)) + 150 * labels[:, None, None, None], labels)


def noisy(n=40, channels=3, side=16, classes=3):
    """Images of noise, with labels that mean nothing."""
    rng = np.random.default_rng(0)
    return task_of(rng.integers(0, 256, (n, channels, side, side)), rng.integers(0, classes, n))

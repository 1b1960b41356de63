"""What is found in images, and the contract of what finds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.task.task import At

MOST_DETECTIONS = 100
"""Of an image, as COCO counts."""
KEPT_FROM = {"retinanet": 0.05, "ssdlite": 0.01, "faster-rcnn": 0.05}
"""The least score of a box that is kept before suppression, by kind of detector."""


@dataclass(frozen=True)
class Found:
    """What is in an image.

    Args:
        boxes: (k, 4) float32: left, top, right, bottom, in pixels.
        labels: (k,) int64 indices of classes.
        scores: (k,) float32, falling.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]


class Boxes(ABC):
    """What the outputs of a head say, and how it learns to say it."""

    @abstractmethod
    def learn(
        self, model: nn.Module, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor], at: At
    ) -> Tensor:
        """The loss of a step: a scalar.

        Args:
            model: Has such a head.
            images: What it is fed.
            boxes: (k, 4) of each image, in pixels.
            labels: (k,) of each.
            at: Where the training stands.
        """

    @abstractmethod
    def found(self, *outputs: NDArray[np.float32]) -> list[Found]:
        """The boxes of each image, in pixels of what the network was fed.

        Raises:
            TrainingError: An output is not a finite number.
        """

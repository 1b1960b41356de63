"""What comes after a detector of one stage, as plain arrays and numbers: anchors, their coding, thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paretonas.space import Interface
from paretonas.space.interface import Port


@dataclass(frozen=True, eq=False)
class Decoding:
    """How boxes are made of logits and offsets, and which of them stay.

    Args:
        anchors: (n, 4) float32: left, top, right, bottom, in pixels of what the network is fed.
        levels: How many of them each level has, level after level.
        weights: Of the four offsets, which are divided by them.
        most_growth: Of a side: the largest offset that is followed, as a logarithm.
        side: Of the images in pixels; boxes are cut off there.
        classes: That are told apart.
        scores: `sigmoid`: of each logit; `softmax`: of all of an anchor, the first of them the background's.
        candidates: Go on at most: of each level with `sigmoid`, of each class with `softmax`.
        least_score: A candidate has more.
        most_overlap: Of two boxes of a class that overlap by more, the one of the lower score goes.
        most_boxes: Of an image.
    """

    anchors: NDArray[np.float32]
    levels: tuple[int, ...]
    weights: tuple[float, ...]
    most_growth: float
    side: int
    classes: int
    scores: Literal["sigmoid", "softmax"]
    candidates: int
    least_score: float
    most_overlap: float
    most_boxes: int


def boxes_interface(interface: Interface) -> Interface:
    """That of a file which ends in boxes: an image in; (n, 4) `boxes`, (n,) `labels` and (n,) `scores` out.

    How many there are depends on the image, so that a port says the shape of one.
    """
    outputs = Port("boxes", (1, 4)), Port("labels", (1,), "int64"), Port("scores", (1,))
    return Interface(interface.inputs, outputs)

"""From which score on boxes are worth telling of, class by class and for all classes together.

It is where F1 is best, of the scores at which precision is recall or more, so that no more boxes are told of than there
are to be found: of a class that is hardly learned, the best F1 of all would tell of a flood of boxes that are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paretonas.task.found import Found
from paretonas.task.precision import Truth

OVERLAP = 0.5
"""From which on a box is the one that is to be found."""
RIGHT, WRONG, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class Balance:
    """A score, and how well boxes are found by those that have it or more.

    Args:
        threshold: The score.
        precision: Share of these boxes that are right.
        recall: Share of the boxes to be found that are.
    """

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class ClassBalance:
    """Of one class.

    Args:
        boxes: How many are to be found.
        best: See `best_balance`; None where none of its boxes is found, or there are none.
    """

    boxes: int
    best: Balance | None


def balances(
    truths: Sequence[Truth], found: Sequence[Found], classes: int
) -> tuple[tuple[ClassBalance, ...], Balance | None]:
    """For each class the score from which on its boxes are worth telling of, and one score for all classes together.

    Boxes are matched as COCO does at an overlap of .50: in each image, from the highest score on, each takes of the
    boxes of its class that are left the one that it overlaps most; a second one for the same box is wrong, and what
    matches an ignored one counts neither way. All classes together are as one in which each box keeps its verdict.

    Args:
        truths: Of each image.
        found: In each image.
        classes: How many there are.
    """
    scores = np.concatenate([np.zeros(0, np.float32), *(one.scores for one in found)])
    labels = np.concatenate([np.zeros(0, np.int64), *(one.labels for one in found)])
    verdicts = np.concatenate([np.zeros(0, np.int64), *map(_verdicts, truths, found)])
    wanted = np.zeros(classes, np.int64)
    for truth in truths:
        wanted += np.bincount(truth.labels[~truth.is_ignored], minlength=classes)
    counted = verdicts != IGNORED
    by_class = []
    for k in range(classes):
        own = counted & (labels == k)
        by_class.append(ClassBalance(int(wanted[k]), best_balance(scores[own], verdicts[own] == RIGHT, int(wanted[k]))))
    return tuple(by_class), best_balance(scores[counted], verdicts[counted] == RIGHT, int(wanted.sum()))


def best_balance(scores: NDArray[np.float32], is_right: NDArray[np.bool_], wanted: int) -> Balance | None:
    """The score s with the best `F1(s) = 2 right(s) / (seen(s) + wanted)`; None where nothing is right.

    right(s) and seen(s) count the boxes of score s or more. Candidates are the scores with `right(s) > 0` and
    `seen(s) <= wanted`, that is `precision(s) >= recall(s)`; where there is none of these, all scores. Of equally good
    ones it is the highest.

    Args:
        scores: (n,) of boxes.
        is_right: (n,) whether each is one that is to be found.
        wanted: Boxes to be found.

    >>> best_balance(np.float32([0.75, 0.5, 0.25]), np.array([True, True, False]), 4)
    Balance(threshold=0.5, precision=1.0, recall=0.5)
    """
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(is_right[order])
    if not len(right) or not right[-1]:
        return None
    is_last = np.append(scores[:-1] != scores[1:], True)  # boxes of one score are told of together
    scores, right, seen = scores[is_last], right[is_last], np.flatnonzero(is_last) + 1
    is_able = (right > 0) & (seen <= wanted)
    f1 = 2 * right / (seen + wanted)
    best = int(np.where(is_able, f1, -1.0).argmax() if is_able.any() else f1.argmax())
    return Balance(float(scores[best]), float(right[best] / seen[best]), float(right[best] / wanted))


def _verdicts(truth: Truth, found: Found) -> NDArray[np.int64]:
    """(k,) whether each box found in an image is right, wrong, or ignored."""
    verdicts = np.full(len(found.scores), WRONG, np.int64)
    is_taken = np.zeros(len(truth.labels), bool)
    overlaps = _overlaps(found.boxes, truth)
    for i in np.argsort(-found.scores, kind="stable"):
        is_open = (truth.labels == found.labels[i]) & (overlaps[i] >= OVERLAP) & ~(is_taken & ~truth.is_ignored)
        for is_wanted, verdict in ((~truth.is_ignored, RIGHT), (truth.is_ignored, IGNORED)):
            able = np.flatnonzero(is_open & is_wanted)
            if len(able):
                is_taken[able[overlaps[i][able].argmax()]] = True
                verdicts[i] = verdict
                break
    return verdicts


def _overlaps(boxes: NDArray[np.float32], truth: Truth) -> NDArray[np.float64]:
    """(k, n) intersection over union of boxes and truth; over the box's own area where the truth is ignored."""
    ours, theirs = boxes[:, None].astype(np.float64), truth.boxes[None].astype(np.float64)
    sides = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    both = np.maximum(sides, 0).prod(-1)
    own, other = ((one[..., 2:] - one[..., :2]).prod(-1) for one in (ours, theirs))
    whole = np.where(truth.is_ignored, own, own + other - both)
    return np.asarray(both / np.maximum(whole, 1e-12))

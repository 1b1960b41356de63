"""Average precision of boxes as COCO counts it, by faster-coco-eval.

Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; the COCO API (cocoeval.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.task.found import Found


@dataclass(frozen=True)
class Truth:
    """What is to be found in an image.

    Args:
        boxes: (k, 4) float: left, top, right, bottom, in pixels.
        labels: (k,) int64 indices of classes.
        is_ignored: (k,) bool: neither wanted nor wrong; what covers such a region is not counted.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    is_ignored: NDArray[np.bool_]


@dataclass(frozen=True)
class Precision:
    """How well boxes were found.

    Args:
        ap: Mean over classes and over overlaps of .50, .55, … .95.
        ap50: Mean over classes at an overlap of .50.
        ap75: At .75.
        by_class: AP of each class; None where the images have none of it.
        ap50_by_class: The same at an overlap of .50.
    """

    ap: float
    ap50: float
    ap75: float
    by_class: tuple[float | None, ...]
    ap50_by_class: tuple[float | None, ...]


def average_precision(truths: Sequence[Truth], found: Sequence[Found], classes: int) -> Precision:
    """COCO's average precision; 0 where nothing is to be found.

    Args:
        truths: Of each image.
        found: In each image; the hundred of the highest scores count.
        classes: How many there are.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations = [
        {**_entry(i, box, label), "iscrowd": int(ignored), "area": float((box[2] - box[0]) * (box[3] - box[1]))}
        for i, truth in enumerate(truths, 1)
        for box, label, ignored in zip(truth.boxes, truth.labels, truth.is_ignored, strict=True)
    ]
    results = [
        {**_entry(i, box, label), "score": float(score)}
        for i, one in enumerate(found, 1)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    if not annotations or not results:
        nothing = _none_found(truths, classes)
        return Precision(0.0, 0.0, 0.0, nothing, nothing)
    dataset = {
        "images": [{"id": i + 1} for i in range(len(truths))],
        "annotations": [{**entry, "id": i} for i, entry in enumerate(annotations, 1)],
        "categories": [{"id": i + 1} for i in range(classes)],
    }
    truth = COCO(dataset, print_function=_silent)
    run = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=_silent)
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][..., 0, -1]  # (overlaps, recalls, classes), of all sizes
    per_class = [precision[:, :, k] if (precision[:, :, k] > -1).all() else None for k in range(classes)]
    by_class = tuple(None if one is None else float(one.mean()) for one in per_class)
    ap50_by_class = tuple(None if one is None else float(one[0].mean()) for one in per_class)
    counted = np.array([one for one in per_class if one is not None])
    if not counted.size:
        return Precision(0.0, 0.0, 0.0, by_class, ap50_by_class)
    means = counted.mean((0, 2)).tolist()  # of each overlap
    return Precision(float(counted.mean()), means[0], means[5], by_class, ap50_by_class)


def _entry(image: int, box: NDArray[Any], label: int) -> dict[str, Any]:
    left, top, right, bottom = map(float, box)
    return {"image_id": image, "category_id": int(label) + 1, "bbox": [left, top, right - left, bottom - top]}


def _none_found(truths: Sequence[Truth], classes: int) -> tuple[float | None, ...]:
    wanted = {int(label) for truth in truths for label in truth.labels[~truth.is_ignored]}
    return tuple(0.0 if k in wanted else None for k in range(classes))


def _silent(*_: Any) -> None:
    """What the library would print is said by whoever asks for it."""

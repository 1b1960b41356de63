"""Boxes as annotations state them become boxes in pixels of the upright images, or it is said why they cannot.

Annotations may state another size than an image has: that of a smaller copy, or that before it was turned upright as
its EXIF data tell. Boxes follow the size that is stated with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paretonas.data.box_geometry import SIDEWAYS, clip_boxes, turn_boxes
from paretonas.data.box_headers import Headers
from paretonas.data.boxes import Annotated, name_few
from paretonas.data.contents import count

MOST = 1e9
"""In pixels; no coordinate is as large."""
ROUNDED = 0.5
"""Pixels that a box may reach out of its image by rounding, which is not told of."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Boxes in pixels of n upright images.

    Args:
        boxes: (k, 4) float32, inside of their images where they can be used.
        lost: Why an image cannot be used, by its index.
        faulty: Why a box of an image that can be used cannot, by its row.
        notes: Lines on what was changed.
    """

    boxes: np.ndarray
    lost: dict[int, str]
    faulty: dict[int, str]
    notes: tuple[str, ...]


def place_boxes(annotated: Annotated, headers: Headers) -> Placed:
    """Scale, turn and cut off the boxes, so that they lie in the upright images.

    Args:
        annotated: n images with k boxes.
        headers: What the files of these images say.
    """
    factors, orientations, wrong = _compare_sizes(annotated, headers)
    lost = dict(sorted((wrong | headers.lost | dict(annotated.lost)).items()))
    owners = annotated.owners
    stated = annotated.corners
    turned = turn_boxes(_finite(stated) * np.tile(factors, 2)[owners], headers.sizes[owners], orientations[owners])
    sizes = headers.sizes[owners]
    boxes = clip_boxes(turned, sizes).astype(np.float32)
    is_of_use = ~np.isin(owners, list(lost))
    faults = _find_faults(stated, turned, boxes, sizes, np.flatnonzero(is_of_use))
    unit = ", in fractions of the image," if annotated.is_relative else ""
    faulty = {
        row: f"its box from x1, y1 to x2, y2 = {_corners(stated[row])}{unit} {why}" for row, why in faults.items()
    }
    is_sound = is_of_use & ~np.isin(np.arange(len(boxes)), list(faulty))
    is_cut = is_sound & (np.abs(turned - clip_boxes(turned, sizes)).max(axis=1, initial=0) > ROUNDED)
    notes = (
        *_describe_sizes(annotated, headers, factors, orientations, lost),
        *_describe_cut(annotated, np.flatnonzero(is_cut)),
    )
    return Placed(boxes, lost, faulty, notes)


def _compare_sizes(annotated: Annotated, headers: Headers) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """What boxes are multiplied by (n, 2) and by which orientation they are then turned (n,); and what cannot be."""
    upright = headers.sizes.astype(np.float64)
    if annotated.is_relative:
        return upright, np.ones(len(upright), np.int64), {}
    stated = np.where(np.isnan(annotated.stated), upright, annotated.stated)
    stored = np.where(headers.orientations[:, None] >= SIDEWAYS, upright[:, ::-1], upright)
    is_upright, is_stored = _is_scaled(stated, upright), _is_scaled(stated, stored)
    frame = np.where(is_upright[:, None], upright, stored)
    wrong = {
        int(index): f"its annotations state {_size(stated[index])}, but the file is {_size(upright[index])}"
        for index in np.flatnonzero(~is_upright & ~is_stored)
        if index not in headers.lost
    }
    factors = np.divide(frame, stated, out=np.ones_like(frame), where=stated > 0)
    return factors, np.where(is_upright, 1, headers.orientations), wrong


def _is_scaled(stated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(n,) bool: whether sizes are the same but for their scale, and for what rounding to whole pixels does."""
    scaled = sizes * (stated.sum(axis=1) / sizes.sum(axis=1))[:, None]
    return np.asarray((np.abs(stated - scaled) <= np.minimum(1, 0.05 * stated)).all(axis=1))


def _find_faults(
    stated: np.ndarray, turned: np.ndarray, boxes: np.ndarray, sizes: np.ndarray, used: np.ndarray
) -> dict[int, str]:
    """Why a box of those used cannot be, by its row."""
    width, height = np.diff(_finite(stated).reshape(-1, 2, 2), axis=1)[:, 0].T
    is_outside = (turned[:, :2] >= sizes).any(axis=1) | (turned[:, 2:] <= 0).any(axis=1)
    is_empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    checks = (
        (~_are_finite(stated), "is not made of finite numbers"),
        ((width < 0) | (height < 0), "has a negative width or height"),
        ((width == 0) | (height == 0), "is empty"),
        (is_outside, "lies outside of the image"),
        (is_empty, "is empty inside of the image"),
    )
    faulty: dict[int, str] = {}
    for is_faulty, why in checks:
        for row in used[np.asarray(is_faulty)[used]].tolist():
            faulty.setdefault(row, why)
    return dict(sorted(faulty.items()))


def _are_finite(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(boxes) < MOST).all(axis=1))  # not so of NaN


def _finite(boxes: np.ndarray) -> np.ndarray:
    """The boxes, and zeros for those that have a number which no coordinate is."""
    return np.where(_are_finite(boxes)[:, None], boxes, 0)


def _describe_sizes(
    annotated: Annotated, headers: Headers, factors: np.ndarray, orientations: np.ndarray, lost: dict[int, str]
) -> tuple[str, ...]:
    """Lines on images that are turned, and on those of another size than is stated."""
    is_used = ~np.isin(np.arange(len(factors)), list(lost))
    turned = np.flatnonzero(is_used & (headers.orientations > 1))
    along = np.flatnonzero(is_used & (orientations > 1))
    scaled = np.flatnonzero(is_used & (factors != 1).any(axis=1)) if not annotated.is_relative else turned[:0]
    said = (
        (turned, "turned upright, as EXIF data tell"),
        (along, "turned upright with its boxes, as the annotations state the size before"),
        (scaled, "of another size than the annotations state, to which the boxes are scaled"),
    )
    return tuple(
        f"{count(len(images), 'image')} {what}: {name_few([annotated.names[index] for index in images[:4]])}"
        for images, what in said
        if len(images)
    )


def _describe_cut(annotated: Annotated, rows: np.ndarray) -> tuple[str, ...]:
    if not len(rows):
        return ()
    named = name_few([annotated.name_row(row) for row in rows[:4]])
    return (f"{count(len(rows), 'box')} cut off at the edge of the image: {named}",)


def _corners(box: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in box)


def _size(size: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in size)

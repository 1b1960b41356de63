"""Where to write names beside the points of a chart so that nothing overlaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Align = Literal["left", "center", "right"]
Box = tuple[float, float, float, float]

CHARACTER, LINE = 6.1, 13.0
"""Width of a character and height of a line in pixels, at the size that names are written in; a little generous."""
DIRECTIONS: tuple[tuple[float, float], ...] = (
    (1, 0), (-1, 0), (0, -1), (0, 1), (0.8, -0.7), (0.8, 0.7), (-0.8, -0.7), (-0.8, 0.7)
)  # fmt: skip
DISTANCES = (9.0, 16.0, 26.0, 38.0, 52.0, 70.0, 90.0, 112.0, 136.0, 162.0)
POINT = 6.0


@dataclass(frozen=True)
class Label:
    """A name's place relative to its point, in pixels; y grows downwards."""

    text: str
    dx: float
    dy: float
    align: Align
    is_far: bool


def place_labels(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    others: Sequence[tuple[float, float]],
    width: float,
    height: float,
) -> list[Label]:
    """Place one text after the other where it covers no text, then as few points as can be, then nearest.

    Args:
        points: Pixels of the points that have names, from the upper left corner of the plot.
        texts: Their names.
        others: Pixels of all other points.
        width: Of the plot; names stay inside.
        height: Of the plot.
    """
    marks = [*points, *others]
    taken: list[Box] = []
    labels: list[Label | None] = [None] * len(points)
    # Crowded points choose last: those alone have a place near by whatever the others do.
    for i in sorted(range(len(points)), key=lambda i: -_nearest(points, i)):
        best, place, box = math.inf, None, (0.0, 0.0, 0.0, 0.0)
        for rank, distance in enumerate(DISTANCES):
            for turn, (x, y) in enumerate(DIRECTIONS):
                label = _label(texts[i], x * distance, y * distance, x, rank > 0)
                tried = box_of(points[i], label)
                cost = _cost(tried, taken, marks, width, height) + 2.0 * rank + 0.1 * turn
                if cost < best:
                    best, place, box = cost, label, tried
        taken.append(box)
        labels[i] = place
    return [label for label in labels if label is not None]


def _label(text: str, dx: float, dy: float, x: float, is_far: bool) -> Label:
    return Label(text, dx, dy, "left" if x > 0 else "right" if x < 0 else "center", is_far)


def box_of(point: tuple[float, float], label: Label) -> Box:
    """Left, top, right and bottom of a label at its point, in pixels."""
    width = CHARACTER * len(label.text)
    left = point[0] + label.dx - {"left": 0.0, "center": width / 2, "right": width}[label.align]
    top = point[1] + label.dy - LINE / 2
    return left, top, left + width, top + LINE


def _cost(box: Box, taken: Sequence[Box], marks: Sequence[tuple[float, float]], width: float, height: float) -> float:
    left, top, right, bottom = box
    outside = max(0.0, -left, -top, right - width, bottom - height)
    covered = sum(left < r and right > x and top < b and bottom > t for x, t, r, b in taken)
    hidden = sum(left - POINT < x < right + POINT and top - POINT / 2 < y < bottom + POINT / 2 for x, y in marks)
    return 1000.0 * covered + (100.0 + outside if outside else 0.0) + 6.0 * hidden


def _nearest(points: Sequence[tuple[float, float]], i: int) -> float:
    return min((math.dist(points[i], p) for j, p in enumerate(points) if j != i), default=math.inf)

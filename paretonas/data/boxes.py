"""Records of images with boxes: what annotations state, and what is left once they were compared with the images.

A box is x1, y1, x2, y2: its left, upper, right and lower edge in pixels, counted from the upper left corner of the
image, whose first pixel reaches from (0, 0) to (1, 1). A size is width, height.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from reprlib import Repr
from typing import NamedTuple

import numpy as np

from paretonas.data.box_files import Place
from paretonas.data.pixels import Encoded

SHOWN = 3
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 2, 4, 4


class Row(NamedTuple):
    """A box as an annotation states it.

    Args:
        owner: Index of its image.
        number: Of the annotation in its file, for messages.
        label: Index into the classes.
        x1: As stated; so are the next three.
        y1: Upper edge.
        x2: Right edge.
        y2: Lower edge.
        is_ignored: Neither learned from nor counted against a detector.
    """

    owner: int
    number: int
    label: int
    x1: float
    y1: float
    x2: float
    y2: float
    is_ignored: bool


@dataclass(frozen=True, eq=False)
class Annotated:
    """What annotations state of n images; no image was opened for it.

    Args:
        names: Of the images, for messages.
        places: Where they lie; None where nobody knows.
        files: The annotation file of each, for messages.
        splits: (n,) strings "train", "val" or "test"; all "train" where the source names no splits.
        stated: (n, 2) float64 sizes; NaN where no size is stated.
        rows: (k, 8) float64, the fields of `Row`.
        classes: Names of the classes, whether or not an image shows them.
        numbering: How an annotation is called by its `file`, `number` and `image`.
        is_relative: Whether boxes are fractions of the upright image.
        lost: Why an image cannot be used, by its index.
        faults: Why an annotation cannot be used, by its name; it has no row.
        notes: Lines on what was found or is not used.
    """

    names: Sequence[str]
    places: Sequence[Place | None]
    files: Sequence[str]
    splits: np.ndarray
    stated: np.ndarray
    rows: np.ndarray
    classes: tuple[str, ...]
    numbering: str
    is_relative: bool = False
    lost: Mapping[int, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def owners(self) -> np.ndarray:
        """(k,) int64: the image of each box."""
        return self.rows[:, 0].astype(np.int64)

    @property
    def labels(self) -> np.ndarray:
        """(k,) int64 indices into `classes`."""
        return self.rows[:, 2].astype(np.int64)

    @property
    def corners(self) -> np.ndarray:
        """(k, 4) float64, as stated."""
        return self.rows[:, 3:7]

    @property
    def is_ignored(self) -> np.ndarray:
        """(k,) bool."""
        return self.rows[:, 7] > 0

    def name_row(self, row: int) -> str:
        """Of the annotation of a row."""
        owner, number = map(int, self.rows[row, :2])
        return self.numbering.format(file=self.files[owner], number=number, image=self.names[owner])


@dataclass(frozen=True, eq=False)
class BoxListing:
    """The images of a data set in a fixed order, none of them decoded yet, and the boxes of each.

    Args:
        names: n names for messages, relative to the data set's root.
        splits: (n,) strings "train", "val" or "test"; all "train" where the source names no splits.
        sizes: (n, 2) int64: width and height in pixels of the upright image.
        boxes: Of each image (k, 4) float32: x1, y1, x2, y2 in pixels of the upright image, inside of it.
        labels: Of each image (k,) int64 indices into `classes`.
        is_ignored: Of each image (k,) bool: crowds of COCO and what is `difficult` in VOC, neither learned from nor
            counted against a detector.
        classes: Names of the classes.
        content: Hash that changes when the images, boxes, classes or named splits do.
        encoded: Starts a pass over the n images.
        notes: Lines on what was found, changed or is not used.
        faults: Why an image or an annotation was left out, by its name.
    """

    names: Sequence[str]
    splits: np.ndarray
    sizes: np.ndarray
    boxes: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    is_ignored: Sequence[np.ndarray]
    classes: tuple[str, ...]
    content: str
    encoded: Callable[[], Iterator[Encoded]]
    notes: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


def to_table(rows: Sequence[Row]) -> np.ndarray:
    """(k, 8) float64.

    >>> to_table([]).shape
    (0, 8)
    """
    columns = len(Row._fields)
    return np.fromiter(chain.from_iterable(rows), np.float64, columns * len(rows)).reshape(-1, columns)


def join(parts: Sequence[Annotated]) -> Annotated:
    """The images of several annotation files, one after the other.

    Args:
        parts: Of the same classes and of one format.
    """
    firsts = np.cumsum([0, *(len(part.names) for part in parts)]).tolist()
    rows = [part.rows + np.eye(1, len(Row._fields)) * first for part, first in zip(parts, firsts, strict=False)]
    return Annotated(
        names=[name for part in parts for name in part.names],
        places=[place for part in parts for place in part.places],
        files=[file for part in parts for file in part.files],
        splits=np.concatenate([part.splits for part in parts]),
        stated=np.concatenate([part.stated for part in parts]),
        rows=np.concatenate(rows),
        classes=parts[0].classes,
        numbering=parts[0].numbering,
        is_relative=parts[0].is_relative,
        lost={
            first + index: why for part, first in zip(parts, firsts, strict=False) for index, why in part.lost.items()
        },
        faults={name: why for part in parts for name, why in part.faults.items()},
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def short(value: object) -> str:
    """What a file says, for a message; whatever it is, no longer than a line.

    >>> short([[1, [2]]] * 9)
    '[[1, [...]], [1, [...]], [1, [...]], ...]'
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # of a number with thousands of digits
        return "a number too long to show"


def name_few(names: Sequence[str]) -> str:
    """The first three.

    >>> name_few(["a", "b", "c", "d"])
    'a, b, c, …'
    """
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")

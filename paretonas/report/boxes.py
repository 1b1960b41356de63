"""How well a finalist finds boxes: class by class, and in a few images."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paretonas.errors import SpecError
from paretonas.space import read_json

FONT_SHARE, SMALLEST_FONT = 0.038, 5.0
"""Of names in images: a share of the longer side, and in pixels of the image."""
CHARACTER = 0.56
"""Width of one, in heights of the font; a little generous."""
LARGEST_SIDE, LONGEST_JPEG = 4096, 2**20
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class ClassFound:
    """One class.

    Args:
        name: Its own.
        boxes: That are to be found.
        ap: Average precision; None where there is none to be found.
        ap50: At an overlap of .50.
        threshold: Score at which F1 is best; None, as the next two, where none of its boxes is found.
        precision: Of the boxes with that score or more.
        recall: Of these.

    Raises:
        SpecError: A number out of its range.
    """

    name: str
    boxes: int
    ap: float | None
    ap50: float | None
    threshold: float | None
    precision: float | None
    recall: float | None

    def __post_init__(self) -> None:
        _check_shares(self.ap, self.ap50, self.threshold, self.precision, self.recall)
        if self.boxes < 0:
            raise SpecError(f"`boxes >= 0` must hold, but got (boxes={self.boxes}).")


@dataclass(frozen=True)
class Together:
    """All classes together at one threshold; None three times where nothing is found.

    Args:
        threshold: Score at which F1 is best.
        precision: Of the boxes with that score or more.
        recall: Of these.

    Raises:
        SpecError: A number out of its range.
    """

    threshold: float | None
    precision: float | None
    recall: float | None

    def __post_init__(self) -> None:
        _check_shares(self.threshold, self.precision, self.recall)


@dataclass(frozen=True)
class Mark:
    """A box in an image.

    Args:
        name: Of its class.
        box: Left, top, right, bottom, in pixels of the image.
        score: Of one that was found; None of one that is to be found.

    Raises:
        SpecError: It is no box.
    """

    name: str
    box: tuple[float, ...]
    score: float | None = None

    def __post_init__(self) -> None:
        _check_shares(self.score)
        sides = self.box if len(self.box) == 4 and all(map(math.isfinite, self.box)) else (1, 1, 0, 0)
        if not (sides[0] <= sides[2] and sides[1] <= sides[3]):
            raise SpecError(f"A box is left, top, right and bottom, but got {list(self.box)[:6]}.")

    @property
    def text(self) -> str:
        """Name and score."""
        return self.name if self.score is None else f"{self.name} {self.score:.2f}"


@dataclass(frozen=True)
class Sight:
    """A test image, with what is in it and what was seen.

    Args:
        name: Of its file.
        width: In pixels.
        height: In pixels.
        jpeg: The image, in base64.
        truth: What is to be found.
        found: What was, of a score of the threshold or more.

    Raises:
        SpecError: It is no image.
    """

    name: str
    width: int
    height: int
    jpeg: str
    truth: tuple[Mark, ...]
    found: tuple[Mark, ...]

    def __post_init__(self) -> None:
        try:
            content = base64.b64decode(self.jpeg[:LONGEST_JPEG], validate=True)
        except (ValueError, binascii.Error):
            content = b""
        are_sides = 1 <= min(self.width, self.height) <= max(self.width, self.height) <= LARGEST_SIDE
        if not are_sides or not content.startswith(JPEG) or len(self.jpeg) > LONGEST_JPEG:
            raise SpecError(f"An image is a JPEG file in base64, of {LARGEST_SIDE} pixels a side at most.")

    @property
    def font(self) -> float:
        """Height of names, in pixels of the image."""
        return max(SMALLEST_FONT, FONT_SHARE * max(self.width, self.height))

    def place(self, mark: Mark) -> tuple[float, float, str]:
        """Where a mark's text stands: x, y of its base line, and which end of it is at x; above the box or in it."""
        left, top, right, _ = mark.box
        y = top - 0.3 * self.font if top > self.font else top + self.font
        if left + CHARACTER * self.font * len(mark.text) > self.width:
            return min(right, self.width), y, "end"
        return left, y, "start"


@dataclass(frozen=True)
class BoxesFound:
    """What a finalist's file says of the boxes that it finds.

    Args:
        classes: All of them.
        all: Together.
        images: A few.
    """

    classes: tuple[ClassFound, ...]
    all: Together
    images: tuple[Sight, ...]


def boxes_found(details: Mapping[str, Any]) -> BoxesFound | None:
    """What the details of a finalist say of boxes; None where they say nothing.

    Raises:
        SpecError: They cannot be.
    """
    if "boxes" not in details:
        return None
    found: BoxesFound = read_json(BoxesFound, details["boxes"], "boxes")
    return found


def _check_shares(*shares: float | None) -> None:
    if not all(share is None or 0 <= share <= 1 for share in shares):
        raise SpecError(f"Scores, precision and recall are in [0, 1], but got {shares}.")

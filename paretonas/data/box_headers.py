"""Sizes of images, and how they are to be turned, from the beginnings of their files.

Nothing is decoded, but for PNG files that may tell their orientation after their pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from paretonas.data.box_files import Archives, Entry, Place, stamp
from paretonas.data.box_geometry import SIDEWAYS
from paretonas.data.box_known import COLUMNS
from paretonas.data.pixels import is_machine_fault, machine_fault, opened, orientation_of, reason

BATCH = 1024
HEAD = 2**17
"""Bytes of a JPEG in an archive that are read at first; hardly any has a longer header."""
JPEG = b"\xff\xd8"
LATE = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG file has somewhere if it tells an orientation."""

Header = tuple[int, int, int]
"""Width and height of the upright image, and its orientation."""


@dataclass(frozen=True, eq=False)
class Headers:
    """What the files of n images say of themselves.

    Args:
        sizes: (n, 2) int64: width and height of the upright image; 1 where it cannot be read.
        orientations: (n,) int64: 1 to 8, as EXIF data tell.
        stamps: (n, 2) int64: see `stamp`.
        lost: Why an image cannot be read, by its index.
    """

    sizes: np.ndarray
    orientations: np.ndarray
    stamps: np.ndarray
    lost: dict[int, str]

    @property
    def known(self) -> np.ndarray:
        """(n, 5) int64: stamp, size and orientation of each; zeros of those that are lost or were passed over."""
        table = np.column_stack([self.stamps, self.sizes, self.orientations])
        return np.where(self.stamps.any(axis=1, keepdims=True), table, 0)


def read_headers(places: Sequence[Place | None], known: np.ndarray | None = None) -> Headers:
    """Read the headers of images, in threads.

    Args:
        places: Of n images; None is passed over.
        known: (n, 5) int64 of an earlier call; where the stamp is the same, the rest is taken as it was.

    Raises:
        MachineError: The machine refuses to read.
    """
    sizes, orientations = np.ones((len(places), 2), np.int64), np.ones(len(places), np.int64)
    stamps = np.zeros((len(places), 2), np.int64)
    before = np.zeros((len(places), COLUMNS), np.int64) if known is None else known
    lost: dict[int, str] = {}
    with Archives() as archives, ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(places), BATCH):
            rows = before[start : start + BATCH].tolist()
            looked = pool.map(partial(_look_at, archives), places[start : start + BATCH], rows)
            for index, found in enumerate(looked, start):
                if isinstance(found, str):
                    lost[index] = found
                elif found is not None:
                    (*sizes[index], orientations[index]), stamps[index] = found
    return Headers(sizes, orientations, stamps, lost)


def _look_at(
    archives: Archives, place: Place | None, known: Sequence[int]
) -> tuple[Header, tuple[int, int]] | str | None:
    """The header and the stamp; or why these cannot be told."""
    if place is None:
        return None
    first, second, width, height, orientation = known
    try:
        if width and stamp(place) == (first, second):
            return (width, height, orientation), (first, second)
        header = _read_packed(archives, place) if isinstance(place, Entry) else _read_header(place)
        return header, stamp(place)
    except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
        if is_machine_fault(error):
            raise machine_fault(f"The image {place}", error) from error
        return reason(error, "detection")


def _read_packed(archives: Archives, entry: Entry) -> Header:
    head = archives.read(entry, HEAD)
    if head.startswith(JPEG):
        with suppress(OSError):  # its header is longer
            return _read_header(head)
    return _read_header(archives.read(entry))


def _read_header(encoded: Path | bytes) -> Header:
    with opened(encoded) as image:
        width, height = image.size
        orientation = orientation_of(image) if _may_be_turned(encoded, image) else 1
    is_sideways = orientation >= SIDEWAYS and image.format != "TIFF"  # whose size Pillow gives upright
    return (height, width, orientation) if is_sideways else (width, height, orientation)


def _may_be_turned(encoded: Path | bytes, image: Image.Image) -> bool:
    """Pillow decodes a PNG file to learn what stands after its pixels."""
    if image.format != "PNG" or "exif" in image.info:
        return True
    content = encoded if isinstance(encoded, bytes) else encoded.read_bytes()
    return any(mark in content for mark in LATE)

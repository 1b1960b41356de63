"""Images that stay encoded on disk and are decoded whenever one is needed: data that do not fit in memory.

write_encoded   Listing -> one file with the bytes of all images, every image decoded once as a check
EncodedImages   some of these images, in an order
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from paretonas.data.decode import (
    Encoded,
    Listing,
    pillow_warnings,
    reason,
    to_bytes,
    to_square,
    to_upright,
    visit_images,
)
from paretonas.errors import DataError

BATCH = 64
"""Encoded images held in memory at once while they are checked."""


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images by their places in a file. A slice of them is such images again.

    Args:
        file: The bytes of all images of a data set, one after the other.
        places: (n, 2) int64: where the bytes of an image begin, and how many they are.
        channels: 1 or 3 (RGB).
        resolution: Side of the pixels in pixels.
    """

    file: Path
    places: np.ndarray
    channels: int
    resolution: int

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chosen: slice) -> EncodedImages:
        return replace(self, places=self.places[chosen])

    def image(self, index: int) -> Image.Image:
        """The whole image, upright, over white, RGB.

        Raises:
            DataError: It cannot be decoded any more.
        """
        begin, size = map(int, self.places[index])
        try:
            with self.file.open("rb") as file, pillow_warnings():
                file.seek(begin)
                return to_upright(file.read(size))[0]
        except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
            raise DataError(
                f"Prepared images must stay as they were written, but image {index}, bytes {begin} to {begin + size} "
                f"of {self.file}, cannot be read: {reason(error)}. Delete that folder and prepare the data again."
            ) from error

    def pixels(self, index: int) -> np.ndarray:
        """(C, R, R) uint8, as if it had been decoded in advance: see `to_pixels`.

        Raises:
            DataError: It cannot be decoded any more.
        """
        square = np.asarray(to_square(self.image(index), self.resolution))
        return np.ascontiguousarray(square.transpose(2, 0, 1)[: self.channels])


@dataclass(frozen=True, eq=False)
class Written:
    """What `write_encoded` found, by the index of an image.

    Args:
        places: (n, 2) int64: begin and size; zeros where corrupt.
        hashes: (n, 32) uint8: SHA-256 of the bytes.
        is_grey: (n,) bool.
        corrupt: Why an image is corrupt.
    """

    places: np.ndarray
    hashes: np.ndarray
    is_grey: np.ndarray
    corrupt: dict[int, str]


def write_encoded(
    listing: Listing, file: Path, resolution: int, progress: Callable[[int, int], None] | None = None
) -> Written:
    """Write the images that can be decoded to `file`, in the order of the listing.

    Args:
        listing: n images.
        file: Is made.
        resolution: That they will be decoded to.
        progress: Called with the numbers of images done and of all images.

    Raises:
        OSError: `file` cannot be written.
    """
    n = len(listing.labels)
    found = Written(np.zeros((n, 2), np.int64), np.zeros((n, 32), np.uint8), np.ones(n, dtype=bool), {})

    def check(_: int, encoded: Encoded) -> tuple[bytes, bool]:
        content = to_bytes(encoded)
        rgb, is_grey = to_upright(content)
        to_square(rgb, resolution)
        return content, is_grey

    with file.open("wb") as out:
        for index, (content, is_grey) in visit_images(listing, check, found.corrupt, progress, BATCH):
            found.places[index] = out.tell(), len(content)
            found.hashes[index] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
            found.is_grey[index] = is_grey
            out.write(content)
    return found

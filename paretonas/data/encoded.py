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

from paretonas.data.decode import Decoded, Listing, visit_images
from paretonas.data.pixels import (
    Encoded,
    guarded,
    is_machine_fault,
    machine_fault,
    reason,
    to_bytes,
    to_square,
    to_upright,
)
from paretonas.errors import DataError


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images by their places in a file. A slice of them is such images again.

    Args:
        file: The bytes of all images of a data set, one after the other.
        places: (n, 2) int64: where the bytes of an image begin, and how many they are.
        channels: 1 or 3 (RGB).
        resolution: Side of the pixels in pixels.
        max_pixels: See `DataSource`.
    """

    file: Path
    places: np.ndarray
    channels: int
    resolution: int
    max_pixels: int | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chosen: slice) -> EncodedImages:
        return replace(self, places=self.places[chosen])

    def image(self, index: int) -> Image.Image:
        """The whole image, upright, over white, RGB.

        Raises:
            DataError: It cannot be decoded any more.
            MachineError: The machine refuses.
        """
        begin, size = map(int, self.places[index])
        try:
            with self.file.open("rb") as file, guarded(self.max_pixels):
                file.seek(begin)
                return to_upright(file.read(size))[0]
        except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
            if is_machine_fault(error):
                raise machine_fault(f"Image {index} of {self.file}", error) from error
            raise DataError(
                f"Prepared images must stay as they were written, but image {index}, bytes {begin} to {begin + size} "
                f"of {self.file}, cannot be read: {reason(error)}. Delete that folder and prepare the data again."
            ) from error

    def pixels(self, index: int) -> np.ndarray:
        """(C, R, R) uint8, as if it had been decoded in advance: see `to_pixels`.

        Raises:
            DataError: It cannot be decoded any more.
            MachineError: The machine refuses.
        """
        square = np.asarray(to_square(self.image(index), self.resolution))
        return np.ascontiguousarray(square.transpose(2, 0, 1)[: self.channels])


@dataclass(frozen=True, eq=False)
class Written:
    """What `write_encoded` found, by the index of an image.

    Args:
        places: (n, 2) int64: begin and size; zeros where corrupt.
        hashes: (n, 32) uint8: SHA-256 of the bytes.
        decoded: What they are once decoded.
    """

    places: np.ndarray
    hashes: np.ndarray
    decoded: Decoded


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
        MachineError: See `visit_images`.
    """
    n = len(listing.labels)
    found = Written(np.zeros((n, 2), np.int64), np.zeros((n, 32), np.uint8), Decoded.nothing(n))

    def check(_: int, encoded: Encoded) -> tuple[bytes, bool, np.ndarray]:
        content = to_bytes(encoded)
        rgb, is_grey = to_upright(content)
        return content, is_grey, np.asarray(to_square(rgb, resolution))

    with file.open("wb") as out:
        for index, (content, is_grey, pixels) in visit_images(listing, check, found.decoded.corrupt, progress):
            found.places[index] = out.tell(), len(content)
            found.hashes[index] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
            found.decoded.is_grey[index] = is_grey
            found.decoded.levels[index] = pixels.min(), pixels.max()
            out.write(content)
    return found

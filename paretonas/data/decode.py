"""The images of a data set as they are listed, and passes over all of them.

survey         Listing -> sizes and modes of a sample, from the images' headers
visit_images   Listing -> what a function makes of each image, in threads (Pillow releases the interpreter's lock)
write_decoded  Listing -> a file of pixels
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from paretonas.data.pixels import GREY_MODES, Encoded, is_machine_fault, machine_fault, opened, reason, to_pixels
from paretonas.errors import DataError

T = TypeVar("T")

BATCH = 64
"""Images held in memory at once."""
SURVEYED = 500
SHOWN = 10


class Passable(Protocol):
    """Images that can be passed over: n names, and what starts a pass over the n images."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def encoded(self) -> Callable[[], Iterator[Encoded]]: ...


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a data set in a fixed order, none of them decoded yet.

    Args:
        names: n names for messages, relative to the data set's root.
        labels: (n,) int64 indices into `classes`.
        splits: (n,) strings "train", "val" or "test"; all "train" where the source names no splits.
        classes: Names of the classes.
        content: Hash that changes when the images, labels, classes or named splits do.
        encoded: Starts a pass over the n images.
        flip: Whether a mirrored image still shows its class.
        notes: Lines on what was found and is not used.
    """

    names: Sequence[str]
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]
    content: str
    encoded: Callable[[], Iterator[Encoded]]
    flip: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a pass over n images found, by the index of an image.

    Args:
        rows: (n,) int64: which of the images that were written it is.
        is_grey: (n,) bool: whether the source image is greyscale.
        levels: (n, 2) uint8: the lowest and the highest value of its pixels.
        corrupt: Why an image is corrupt; it has no row.
    """

    rows: np.ndarray
    is_grey: np.ndarray
    levels: np.ndarray
    corrupt: dict[int, str]

    @classmethod
    def nothing(cls, n: int) -> Decoded:
        """Before the pass."""
        return cls(np.zeros(n, np.int64), np.ones(n, dtype=bool), np.zeros((n, 2), np.uint8), {})


def survey(listing: Listing) -> tuple[list[int], bool]:
    """Shorter sides in pixels of up to 500 evenly spaced images, and whether all of these are greyscale.

    Images that cannot be opened are passed over; `visit_images` reports them.
    """
    sides, all_grey = [], True
    for encoded in islice(listing.encoded(), 0, None, -(-len(listing.labels) // SURVEYED)):
        try:
            with opened(encoded) as image:
                sides.append(min(image.size))
                all_grey &= image.mode in GREY_MODES
        except Exception:  # as in `visit_images`
            continue
    return sides, all_grey


def write_decoded(
    listing: Listing, file: Path, resolution: int, progress: Callable[[int, int], None] | None = None
) -> Decoded:
    """Write the pixels of the images that can be decoded to `file`, in the order of the listing.

    Args:
        listing: n images.
        file: Is made: (3, R, R) uint8 of each image, one after the other.
        resolution: R, in pixels.
        progress: Called with the numbers of images done and of all images.

    Raises:
        OSError: `file` cannot be written.
        MachineError: See `visit_images`.
    """
    found = Decoded.nothing(len(listing.labels))
    written = 0

    def decode(_: int, encoded: Encoded) -> tuple[np.ndarray, bool]:
        return to_pixels(encoded, resolution)

    with file.open("wb") as out:
        for index, (pixels, is_grey) in visit_images(listing, decode, found.corrupt, progress):
            found.rows[index], found.is_grey[index] = written, is_grey
            found.levels[index] = pixels.min(), pixels.max()
            out.write(np.ascontiguousarray(pixels).data)
            written += 1
    return found


def visit_images(
    listing: Passable,
    work: Callable[[int, Encoded], T],
    corrupt: dict[int, str],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, T]]:
    """Give every image with its index to `work`, in threads.

    Args:
        listing: n images.
        work: Raises what it likes for an image that is corrupt.
        corrupt: Gets, by index, why an image is corrupt.
        progress: Called with the numbers of images done and of all images.

    Returns:
        Index and result of each image that is not corrupt, in the order of the listing.

    Raises:
        MachineError: The machine refuses to read an image, for which the image cannot help.
    """

    def attempt(index: int, encoded: Encoded) -> tuple[int, T] | None:
        try:
            return index, work(index, encoded)
        except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
            if is_machine_fault(error):
                raise machine_fault(f"The image {listing.names[index]}", error) from error
            corrupt[index] = reason(error)
            return None

    encoded, done = listing.encoded(), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(encoded, BATCH)):
            found = list(pool.map(attempt, range(done, done + len(batch)), batch))
            yield from (result for result in found if result is not None)
            done += len(batch)
            if progress:
                progress(done, len(listing.names))
    ordered = sorted(corrupt.items())
    corrupt.clear()
    corrupt.update(ordered)


def corrupt_images(skipped: Sequence[str], total: int) -> DataError:
    """What is said of images that are corrupt and may not be left out.

    Args:
        skipped: Names with reasons.
        total: Number of all images.
    """
    return DataError(
        f"Every image must be readable, but {len(skipped)} of {total} are corrupt: {name_first(skipped)}. Repair them, "
        "or leave them out with --skip-corrupt."
    )


def name_first(skipped: Sequence[str]) -> str:
    """The first ten, and how many more there are."""
    return "; ".join(skipped[:SHOWN]) + (f"; and {len(skipped) - SHOWN:,} more" if len(skipped) > SHOWN else "")

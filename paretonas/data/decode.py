"""The images of a data set as they are listed, and how an encoded one becomes uint8 pixels.

    survey         Listing -> sizes and modes of a sample, from the images' headers
    visit_images   Listing -> what a function makes of each image, in threads (Pillow releases the interpreter's lock)
    decode_images  Listing -> pixels

Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from paretonas.errors import DataError

T = TypeVar("T")

Encoded = Path | bytes | Image.Image | None
"""An image before decoding; None where a Parquet row holds no bytes."""

GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
BATCH = 512
SURVEYED = 500


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
    """

    names: Sequence[str]
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]
    content: str
    encoded: Callable[[], Iterator[Encoded]]
    flip: bool = True


def survey(listing: Listing) -> tuple[list[int], bool]:
    """Shorter sides in pixels of up to 500 evenly spaced images, and whether all of these are greyscale.

    Images that cannot be opened are passed over; `decode_images` reports them.
    """
    sides, all_grey = [], True
    with pillow_warnings():
        for encoded in islice(listing.encoded(), 0, None, -(-len(listing.labels) // SURVEYED)):
            try:
                with _open(encoded) as image:
                    sides.append(min(image.size))
                    all_grey &= image.mode in GREY_MODES
            except Exception:  # as in `decode_images`
                continue
    return sides, all_grey


def decode_images(
    listing: Listing, out: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode every image into its row of `out`.

    Args:
        listing: n images.
        out: (n, 3, R, R) uint8, filled in place; rows of corrupt images are left as they are.
        progress: Called with the numbers of images done and of all images.

    Returns:
        (n,) bool, true where the source image is greyscale; and by index, why an image is corrupt.
    """
    is_grey = np.ones(len(out), dtype=bool)
    corrupt: dict[int, str] = {}

    def decode(index: int, encoded: Encoded) -> None:
        out[index], is_grey[index] = to_pixels(encoded, out.shape[-1])

    for _ in visit_images(listing, decode, corrupt, progress):
        pass
    return is_grey, corrupt


def visit_images(
    listing: Listing,
    work: Callable[[int, Encoded], T],
    corrupt: dict[int, str],
    progress: Callable[[int, int], None] | None = None,
    batch_size: int = BATCH,
) -> Iterator[tuple[int, T]]:
    """Give every image with its index to `work`, in threads.

    Args:
        listing: n images.
        work: Raises what it likes for an image that is corrupt.
        corrupt: Gets, by index, why an image is corrupt.
        progress: Called with the numbers of images done and of all images.
        batch_size: How many results are held at once.

    Returns:
        Index and result of each image that is not corrupt, in the order of the listing.
    """

    def attempt(index: int, encoded: Encoded) -> tuple[int, T] | None:
        try:
            return index, work(index, encoded)
        except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
            corrupt[index] = reason(error)
            return None

    encoded, done = listing.encoded(), 0
    with pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(encoded, batch_size)):
            found = list(pool.map(attempt, range(done, done + len(batch)), batch))
            yield from (result for result in found if result is not None)
            done += len(batch)
            if progress:
                progress(done, len(listing.labels))
    ordered = sorted(corrupt.items())
    corrupt.clear()
    corrupt.update(ordered)


def reason(error: Exception) -> str:
    """Why an image is corrupt, in words."""
    if isinstance(error, UnidentifiedImageError):  # its own message shows a memory address
        return "not an image of a known format"
    return f"{type(error).__name__}: {error}"


def to_pixels(encoded: Encoded, resolution: int) -> tuple[np.ndarray, bool]:
    """The image upright, over white, its shorter side scaled to `resolution`, and its centre cut out.

    Returns:
        (3, R, R) uint8, and whether the source image is greyscale (then the three channels are equal).

    Raises:
        Exception: Whatever Pillow raises for an image that it cannot read whole.
    """
    rgb, is_grey = to_upright(encoded)
    return np.asarray(to_square(rgb, resolution)).transpose(2, 0, 1), is_grey


def to_upright(encoded: Encoded) -> tuple[Image.Image, bool]:
    """The whole image upright, over white, as RGB; and whether the source image is greyscale.

    Raises:
        Exception: Whatever Pillow raises for an image that it cannot read whole.
    """
    with _open(encoded) as image:
        rgb = _to_rgb(ImageOps.exif_transpose(image))
        is_grey = image.mode in GREY_MODES
    return rgb, is_grey


def to_square(image: Image.Image, resolution: int) -> Image.Image:
    """The image with its shorter side scaled to `resolution`, and its centre cut out."""
    return ImageOps.fit(image, (resolution, resolution), Image.Resampling.BILINEAR)


def to_bytes(encoded: Encoded) -> bytes:
    """The image as the bytes of a file: its own, or those of a PNG file where it was never encoded.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is no image.
    """
    if encoded is None:
        raise ValueError("no bytes")
    if isinstance(encoded, Path):
        return encoded.read_bytes()
    if isinstance(encoded, bytes):
        return encoded
    buffer = BytesIO()
    encoded.save(buffer, "PNG")
    return buffer.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels (mode F) have no known range")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"integer pixels must lie in 0..65535, but reach from {values.min()} to {values.max()}")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _open(encoded: Encoded) -> Image.Image:
    if encoded is None:
        raise ValueError("no bytes")
    if isinstance(encoded, Image.Image):
        return encoded
    return Image.open(BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """An image too large to be honest is an error; remarks on odd metadata stay silent."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def corrupt_images(skipped: Sequence[str], total: int) -> DataError:
    """What is said of images that are corrupt and may not be left out.

    Args:
        skipped: Names with reasons.
        total: Number of all images.
    """
    shown = "".join(f"\n  {line}" for line in skipped[:20]) + ("\n  …" if len(skipped) > 20 else "")
    return DataError(
        f"Every image must be readable, but {len(skipped)} of {total} are corrupt:{shown}\n"
        "Repair them, or leave them out with --skip-corrupt."
    )

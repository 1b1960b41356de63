"""How one encoded image becomes uint8 pixels.

    to_pixels   encoded -> the square that a network is fed
    to_upright  encoded -> the whole image
    to_bytes    encoded -> the bytes of a file

Of an image with several frames or pages the first is taken. Pixels of more than 8 bits are scaled by the depth that
the file declares; those whose range nobody can know are refused. Colour profiles are not applied, which nobody does
where a network is deployed either. Nothing is ever unpickled, and no program of another's is run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from paretonas.errors import MachineError
from paretonas.files import is_refusal, open_regular, refusal

Encoded = Path | bytes | Image.Image | ValueError | None
"""An image before decoding; None where a Parquet row holds no bytes, and an error where an archive gives none."""

GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
RUN_PROGRAMS = {"EPS", "WMF"}
"""Formats that Pillow hands to a program of another's."""
BYTES_A_PIXEL = 16
BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
"""Tags of TIFF."""
WHITE_IS_ZERO, IN_PLANES, SIGNED = 0, 2, 2
"""Values of PHOTOMETRIC, of PLANES and of SAMPLE_FORMAT."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by the orientation that EXIF data tell."""


def to_pixels(encoded: Encoded, resolution: int, channels: int = 3) -> tuple[np.ndarray, bool]:
    """The image upright, over white, its shorter side scaled to `resolution`, and its centre cut out.

    Args:
        encoded: The image.
        resolution: R, in pixels.
        channels: C: 3 for RGB, 1 for grey; a coloured image is converted.

    Returns:
        (C, R, R) uint8, and whether the source image is greyscale (then all channels are equal).

    Raises:
        Exception: Whatever Pillow raises for an image that it cannot read whole.
    """
    upright, is_grey = to_upright(encoded)
    square = to_square(upright, resolution)
    if channels == 1:
        return np.asarray(square.convert("L"))[None], is_grey
    return np.asarray(square).transpose(2, 0, 1), is_grey


def to_upright(encoded: Encoded) -> tuple[Image.Image, bool]:
    """The whole image upright, over white, as RGB; and whether the source image is greyscale.

    Raises:
        Exception: Whatever Pillow raises for an image that it cannot read whole.
    """
    with opened(encoded) as image:
        tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
        _check_samples(image, tags)
        _mend_transparent_colour(image)
        image.load()
        upright = _turned(image)
        if image.mode.startswith("I"):
            upright = _to_eight_bits(upright, tags)
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return upright.convert("RGB"), image.mode in GREY_MODES


def to_square(image: Image.Image, resolution: int) -> Image.Image:
    """The image with its shorter side scaled to `resolution`, and its centre cut out."""
    return ImageOps.fit(image, (resolution, resolution), Image.Resampling.BILINEAR)


def to_bytes(encoded: Encoded) -> bytes:
    """The image as the bytes of a file: its own, or those of a PNG file where it was never encoded.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is no image, or it is no regular file or too large.
    """
    if isinstance(encoded, Image.Image):
        buffer = BytesIO()
        encoded.save(buffer, "PNG")
        return buffer.getvalue()
    with _open_bytes(encoded) as file:
        return file.read()


@contextmanager
def guarded(max_pixels: int | None) -> Iterator[None]:
    """Meanwhile an image of too many pixels is an error before it is decoded, and remarks on odd metadata stay silent.

    Args:
        max_pixels: Of one image; None: Pillow's guard against files that are made to fill the memory, 89,478,485.
    """
    usual = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = max_pixels or usual
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def reason(error: Exception, task: str = "classification") -> str:
    """Why an image is corrupt, in words; `task` is the one that has the option to allow more pixels."""
    if isinstance(error, UnidentifiedImageError):  # its own message shows a memory address
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        size = str(error).partition(" exceeds")[0]
        return f"{size} is more than is safe to decode; allow it with --task {task}:max_pixels=N"
    if isinstance(error, OSError) and error.strerror:  # its own message repeats the path
        return error.strerror
    if isinstance(error, ValueError):  # ours are sentences
        return str(error)
    return f"{type(error).__name__}: {error}"


def is_machine_fault(error: Exception) -> bool:
    """Whether an image cannot be read for want of what the machine has, for which the image cannot help."""
    return is_refusal(error) or isinstance(error, MemoryError)


def machine_fault(what: str, error: Exception) -> MachineError:
    """The error to raise then; `what` cannot be read."""
    if isinstance(error, OSError):
        return MachineError(refusal(f"{what} cannot be read", error))
    return MachineError(f"{what} cannot be read: {reason(error)}. Free some memory or space, then go on.")


@contextmanager
def opened(encoded: Encoded) -> Iterator[Image.Image]:
    """The image with its header read and its pixels still to be decoded.

    Raises:
        Exception: Whatever Pillow raises for an image that it cannot read.
    """
    if isinstance(encoded, Image.Image):
        yield encoded
        return
    with _open_bytes(encoded) as file, Image.open(file, formats=_formats()) as image:
        yield image


def _check_samples(image: Image.Image, tags: Mapping[int, Any]) -> None:
    """Refuse what Pillow opens, but whose numbers mean nothing that is known, or are not those of the file."""
    bits, is_signed = max(tags.get(BITS, (8,))), SIGNED in tags.get(SAMPLE_FORMAT, ())
    if image.mode == "F":
        raise ValueError("floating-point pixels (mode F) have no known range: store them as integers of 8 or 16 bits")
    if image.format == "FITS" and image.mode != "L":  # Pillow passes over sign and offset
        raise ValueError("pixels of FITS of more than 8 bits are signed, which is not read: store them as TIFF or PNG")
    if is_signed and bits <= 8:
        raise ValueError("signed pixels of 8 bits have no known range: store them unsigned")
    if tags.get(PLANES) == IN_PLANES and bits > 8:
        raise ValueError("channels of more than 8 bits in planes of their own are not read: store them interleaved")


def _to_eight_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """A grey image of more than 8 bits, scaled by the depth that its file declares; of 32 bits, by 16."""
    is_signed = SIGNED in tags.get(SAMPLE_FORMAT, ())
    depth = min(16, max(tags.get(BITS, (16,)))) - (is_signed and tags[BITS] == (16,))
    values, white = np.asarray(image), 2**depth - 1
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > white:
        raise ValueError(f"integer pixels must lie in 0..{white}, but reach from {low} to {high}")
    grey = (values >> (depth - 8)).astype(np.uint8)
    if low < high and (grey.min() == grey.max() or high < 2 ** (depth - 4)):
        raise ValueError(
            f"its pixels reach from {low} to {high} where they could reach {white}, so that in 8 bits next to nothing "
            "is left of them: stretch them"
        )
    grey = 255 - grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey
    if "transparency" not in image.info:
        return Image.fromarray(grey)
    opaque = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
    return Image.merge("LA", (Image.fromarray(grey), Image.fromarray(opaque)))


def _mend_transparent_colour(image: Image.Image) -> None:
    """Pillow tells a PNG's transparent colour at the depth of the file, whose pixels it gives in 8 bits."""
    tile, colour = getattr(image, "tile", None), image.info.get("transparency")
    if image.format == "PNG" and tile and colour is not None:
        raw = tile[0][3]
        if raw in ("L;2", "L;4"):
            image.info["transparency"] = colour * (85 if raw == "L;2" else 17)
        elif raw == "RGB;16B":
            image.info["transparency"] = tuple(value >> 8 for value in colour)


def orientation_of(image: Image.Image) -> int:
    """Of 1 to 8, as EXIF data tell; 1 (upright) where they cannot be read, as every viewer shows it."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # whatever Pillow's parser stumbled over: the pixels are whole
        return 1
    return int(orientation) if orientation in TURNS else 1


def _turned(image: Image.Image) -> Image.Image:
    orientation = orientation_of(image)
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _open_bytes(encoded: Path | bytes | ValueError | None) -> IO[bytes]:
    if encoded is None:
        raise ValueError("no bytes")
    if isinstance(encoded, ValueError):
        raise encoded
    if isinstance(encoded, bytes):
        return BytesIO(encoded)
    file = open_regular(encoded)
    try:
        check_bytes(os.fstat(file.fileno()).st_size)
    except ValueError:
        file.close()
        raise
    return file


def check_bytes(size: int) -> None:
    """Refuse a file that is larger than any image whose pixels are allowed.

    Raises:
        ValueError: It is.
    """
    if size > BYTES_A_PIXEL * (Image.MAX_IMAGE_PIXELS or 0):
        raise ValueError(f"a file of {size} bytes is larger than any image of {Image.MAX_IMAGE_PIXELS} pixels")


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in RUN_PROGRAMS)

"""How a folder of prepared images with boxes is written: see `paretonas.data.box_images` for what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paretonas.data.box_geometry import clip_boxes, fit_sizes, scales_of
from paretonas.data.box_source import BoxSource, split_boxes
from paretonas.data.boxes import BoxListing
from paretonas.data.decode import corrupt_images, visit_images
from paretonas.data.pixels import Encoded, guarded, to_upright
from paretonas.data.repeats import count_repeats, hash_images
from paretonas.data.source import PARTS
from paretonas.data.writing import CHUNK, Progress, check_disk, hashed, write_array, written_whole
from paretonas.errors import DataError

FORMAT = 1
PADDING = 114
"""Grey of what is below and to the right of an image, as in YOLO since its fifth version."""


def write_boxes(
    source: BoxSource, listing: BoxListing, folder: Path, progress: Progress, *, is_damaged: bool = False
) -> None:
    """Write `folder` whole or not at all; another process may be writing the same.

    Args:
        source: Which data.
        listing: They.
        folder: Among those of other data.
        progress: Called with the numbers of images decoded and of all images.
        is_damaged: `folder` is there already, and is replaced.

    Raises:
        DataError: The data cannot be used; the message says why and what helps.
        MachineError: The machine refuses to read or to write.
    """
    split_boxes(listing, np.arange(len(listing.names)), source)  # bad sizes stop before the work
    with guarded(source.max_pixels), written_whole(folder, is_damaged=is_damaged) as draft:
        check_disk(2 * len(listing.names) * 3 * source.resolution**2, draft)
        meta = _write(source, listing, draft, progress)
        (draft / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def to_letterbox(encoded: Encoded, size: Sequence[int], resolution: int) -> np.ndarray:
    """The image upright, over white, its longer side scaled to `resolution`, and filled up to a square with grey.

    Args:
        encoded: The image.
        size: Its width and height upright, as its header says.
        resolution: R, in pixels.

    Returns:
        (3, R, R) uint8; the image is in the upper left corner.

    Raises:
        ValueError: It has another size once it is decoded.
        Exception: Whatever Pillow raises for an image that it cannot read whole.
    """
    upright, _ = to_upright(encoded)
    if upright.size != tuple(size):
        raise ValueError(f"its size is {upright.size} once decoded, but its header says {tuple(size)}")
    width, height = map(int, fit_sizes(np.array([size]), resolution)[0])
    square = np.full((3, resolution, resolution), PADDING, np.uint8)
    scaled = upright.resize((width, height), Image.Resampling.BILINEAR)
    square[:, :height, :width] = np.asarray(scaled).transpose(2, 0, 1)
    return square


def _write(source: BoxSource, listing: BoxListing, folder: Path, progress: Progress) -> dict[str, Any]:
    file, n, resolution = folder / "decoded", len(listing.names), source.resolution
    rows, corrupt = _write_decoded(listing, file, resolution, progress)
    skipped = [f"{listing.names[index]}: {why}" for index, why in corrupt.items()]
    if skipped and not source.skip_corrupt:
        raise corrupt_images(skipped, n)
    kept = np.setdiff1d(np.arange(n), list(corrupt))
    for split in np.setdiff1d(listing.splits, listing.splits[kept]):
        raise DataError(f"A split must hold images, but all images of {split} are corrupt: {skipped[0]}, …")
    parts = split_boxes(listing, kept, source)
    order = np.concatenate(parts)
    meta = {
        "format": FORMAT,
        "classes": listing.classes,
        "resolution": resolution,
        "counts": dict(zip(PARTS, map(len, parts), strict=True)),
    }
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    shape = (3, resolution, resolution)
    decoded = np.memmap(file, np.uint8, "r").reshape(-1, *shape)
    chunks = (decoded[rows[order[start : start + CHUNK]]] for start in range(0, len(order), CHUNK))
    write_array(folder / "images.npy", np.uint8, (len(order), *shape), hashed(chunks, digest))
    file.unlink()
    for name, array in _arrange(listing, order, resolution).items():
        write_array(folder / name, array.dtype, array.shape, hashed([array], digest))
    repeats = count_repeats(hash_images(np.load(folder / "images.npy", mmap_mode="r")), len(parts[-1]))
    names = [listing.names[index] for index in order]
    left_out = [f"{name}: {why}" for name, why in listing.faults.items()]
    return meta | {"digest": digest.hexdigest(), "repeats": repeats, "skipped": [*left_out, *skipped], "names": names}


def _write_decoded(
    listing: BoxListing, file: Path, resolution: int, progress: Progress
) -> tuple[np.ndarray, dict[int, str]]:
    """Which of the images that were written each is (n,), and why others are corrupt, by their positions."""
    rows, written = np.zeros(len(listing.names), np.int64), 0
    corrupt: dict[int, str] = {}

    def decode(index: int, encoded: Encoded) -> np.ndarray:
        return to_letterbox(encoded, listing.sizes[index].tolist(), resolution)

    with file.open("wb") as out:
        for index, pixels in visit_images(listing, decode, corrupt, progress):
            rows[index] = written
            out.write(pixels.data)
            written += 1
    return rows, corrupt


def _arrange(listing: BoxListing, order: np.ndarray, resolution: int) -> dict[str, np.ndarray]:
    """Arrays by their files: of the images in this order, and flat ones of all boxes."""
    counts = np.array([len(listing.labels[index]) for index in order], np.int64)
    sizes = listing.sizes[order]
    scales = np.tile(np.repeat(scales_of(sizes, resolution), counts, axis=0), 2)
    fitted = np.repeat(fit_sizes(sizes, resolution), counts, axis=0)
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(listing.boxes[index] for index in order)])
    labels = np.concatenate([np.zeros(0, np.int64), *(listing.labels[index] for index in order)])
    is_ignored = np.concatenate([np.zeros(0, bool), *(listing.is_ignored[index] for index in order)])
    return {
        "boxes.npy": clip_boxes(boxes * scales, fitted).astype(np.float32),
        "labels.npy": labels,
        "is_ignored.npy": is_ignored,
        "offsets.npy": np.concatenate([[0], np.cumsum(counts)]),
        "sizes.npy": sizes,
    }

"""A data set for detection: decoded once, split, kept on disk, and memory-mapped by every worker.

    prepare_boxes  BoxSource -> BoxData; the second call for the same data only opens what the first has written
    open_boxes     folder -> BoxData, for a worker that was sent the folder

A prepared folder holds `images.npy` and `sizes.npy` in the order train, left out, val, test; the boxes of all images
one after the other in `boxes.npy`, `labels.npy` and `is_ignored.npy`; where those of each image begin in `offsets.npy`;
and `meta.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from paretonas.data.box_geometry import scales_of, to_original
from paretonas.data.box_listing import list_boxes
from paretonas.data.box_source import BoxSource
from paretonas.data.box_writing import FORMAT, PADDING, write_boxes
from paretonas.data.boxes import BoxListing
from paretonas.data.images import open_array, opened_whole
from paretonas.data.repeats import describe_repeats
from paretonas.data.source import PARTS, describe_unseen
from paretonas.errors import DataError

__all__ = ["PADDING", "BoxData", "BoxSource", "BoxSplit", "Ragged", "open_boxes", "prepare_boxes"]


@dataclass(frozen=True, eq=False)
class Ragged:
    """One array for each of n images, of any length: views of one that holds them all.

    Args:
        flat: (K, …): those of all images, one after the other.
        offsets: (n + 1,) int64: where those of each image begin, and where the last ones end.
    """

    flat: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, image: int) -> np.ndarray:
        begin = range(len(self))[index(image)]
        return self.flat[self.offsets[begin] : self.offsets[begin + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[image] for image in range(len(self)))

    def part(self, begin: int, end: int) -> Ragged:
        """Those of the images from one to before another."""
        return Ragged(self.flat, self.offsets[begin : end + 1])

    @property
    def whole(self) -> np.ndarray:
        """(k, …): those of these images, one after the other."""
        return self.flat[self.offsets[0] : self.offsets[-1]]


@dataclass(frozen=True, eq=False)
class BoxSplit:
    """Some images and their boxes, in random order.

    Args:
        images: (n, 3, R, R) uint8 RGB, mapped from disk; writing to it changes this process's copy only. Each image is
            in the upper left corner, its longer side R pixels long, and the rest is grey.
        boxes: Of each image (k, 4) float32: x1, y1, x2, y2 in pixels of these images.
        labels: Of each image (k,) int64.
        is_ignored: Of each image (k,) bool: neither learned from nor counted against a detector.
        sizes: (n, 2) int64: width and height of the original upright images.
        names: Of the images.
    """

    images: np.ndarray
    boxes: Ragged
    labels: Ragged
    is_ignored: Ragged
    sizes: np.ndarray
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def scales(self) -> np.ndarray:
        """(n, 2) float64: pixels of these images for each of the originals, across and down."""
        return scales_of(self.sizes, self.images.shape[-1])

    def original(self, image: int, boxes: np.ndarray) -> np.ndarray:
        """Boxes (k, 4) in pixels of an image here, in pixels of its original."""
        return to_original(boxes, self.sizes[image], self.images.shape[-1])


@dataclass(frozen=True, eq=False)
class BoxData:
    """A prepared data set. Pickles as its folder, so sending it to a worker on this machine is cheap.

    Args:
        train: What a candidate learns from.
        val: What a candidate is scored on.
        test: Scored by the final training only.
        full_train: Everything but `test`, so also what was left out of `train` and `val`; for the final training.
        classes: Names of the classes.
        resolution: Side of the images in pixels.
        digest: Hash of images, boxes and splits: their identity in caches.
        skipped: Images and annotations that were left out, with the reasons.
        folder: Where the data are prepared.
        notes: Lines on what is odd about the data or was found beside them.
    """

    train: BoxSplit
    val: BoxSplit
    test: BoxSplit
    full_train: BoxSplit
    classes: tuple[str, ...]
    resolution: int
    digest: str
    skipped: tuple[str, ...]
    folder: Path
    notes: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Callable[[Path], BoxData], tuple[Path]]:
        return open_boxes, (self.folder,)


def prepare_boxes(source: BoxSource, cache: Path, progress: Callable[[int, int], None] | None = None) -> BoxData:
    """Decode and split the data, or open them if an earlier call did so.

    Splits that the data name are kept, and others are made by the rules of `prepare_data`, so that each part shows
    about as much of the rare classes.

    Args:
        source: Which data.
        cache: Folder that holds one prepared folder for each different source.
        progress: Called with the numbers of images decoded and of all images.

    Raises:
        DataError: The data cannot be used; the message says why and what helps.
        MachineError: The machine refuses to read or to write.
    """
    cache = Path(cache).expanduser()
    listing = list_boxes(source.path, source.skip_corrupt, source.max_pixels, cache)
    folder = cache / _key(source, listing)
    try:
        prepared = open_boxes(folder)
    except DataError:  # absent or damaged
        write_boxes(source, listing, folder, progress, is_damaged=folder.exists())
        prepared = open_boxes(folder)
    return replace(prepared, notes=(*listing.notes, *prepared.notes))


def open_boxes(folder: Path) -> BoxData:
    """Open a prepared folder; what it holds is mapped, not read.

    Raises:
        DataError: The folder is absent or damaged.
        MachineError: The machine refuses.
    """
    folder = Path(folder)
    with opened_whole(folder):
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise ValueError(f"its format is {meta['format']}, not {FORMAT}")
        train, left_out, val, test = np.cumsum([meta["counts"][part] for part in PARTS]).tolist()  # where each ends
        classes = tuple(meta["classes"])
        everything = _open_all(folder, meta, test)
        parts = [_slice(everything, *ends) for ends in ((0, train), (left_out, val), (val, test))]
        return BoxData(
            train=parts[0],
            val=parts[1],
            test=parts[2],
            full_train=_slice(everything, 0, val),
            classes=classes,
            resolution=meta["resolution"],
            digest=meta["digest"],
            skipped=tuple(meta["skipped"]),
            folder=folder,
            notes=(
                *describe_repeats(meta["repeats"], test - val),
                *(
                    line
                    for name, part in zip(("training", "validation", "test"), parts, strict=True)
                    for line in describe_unseen(name, _learned(part), classes)
                ),
            ),
        )


def _open_all(folder: Path, meta: Mapping[str, Any], n: int) -> BoxSplit:
    resolution, names = meta["resolution"], meta["names"]
    images = _open(folder, "images", np.uint8, (n, 3, resolution, resolution))
    sizes = _open(folder, "sizes", np.int64, (n, 2))
    offsets = _open(folder, "offsets", np.int64, (n + 1,))
    total = int(offsets[-1])
    boxes = _open(folder, "boxes", np.float32, (total, 4))
    labels = _open(folder, "labels", np.int64, (total,))
    is_ignored = _open(folder, "is_ignored", np.bool_, (total,))
    if len(names) != n or (sizes < 1).any() or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError("names, sizes or offsets are none")
    if not ((boxes >= 0) & (boxes <= resolution)).all() or not set(labels.tolist()) <= set(range(len(meta["classes"]))):
        raise ValueError("boxes or labels are out of their range")
    ragged = [Ragged(array, offsets) for array in (boxes, labels, is_ignored)]
    return BoxSplit(images, ragged[0], ragged[1], ragged[2], sizes, names)


def _open(folder: Path, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> np.ndarray:
    array = open_array(folder / f"{name}.npy")
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name}.npy does not match meta.json")
    return array


def _slice(split: BoxSplit, begin: int, end: int) -> BoxSplit:
    return BoxSplit(
        split.images[begin:end],
        split.boxes.part(begin, end),
        split.labels.part(begin, end),
        split.is_ignored.part(begin, end),
        split.sizes[begin:end],
        split.names[begin:end],
    )


def _learned(split: BoxSplit) -> np.ndarray:
    """(k,) labels of the boxes that are learned from or counted."""
    return np.asarray(split.labels.whole[~split.is_ignored.whole])


def _key(source: BoxSource, listing: BoxListing) -> str:
    asked = asdict(source) | {"path": listing.content, "format": FORMAT, "kind": "boxes"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]

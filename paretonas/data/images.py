"""A data set for image classification: decoded once, split, kept on disk, and memory-mapped by every worker.

    prepare_data  DataSource -> ImageData; the second call for the same data only opens what the first has written
    open_data     folder -> ImageData, for a worker that was sent the folder

A prepared folder holds `images.npy` and `labels.npy` in the order train, left out, val, test, so that every split is a
slice that shares its pages with all processes, and `meta.json`. Images that do not fit in memory are streamed: instead
of `images.npy` there are their files' bytes in `encoded.bin`, and in `offsets.npy` where each begins and its size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.data.decode import Listing
from paretonas.data.encoded import EncodedImages
from paretonas.data.listing import list_images
from paretonas.data.repeats import describe_repeats
from paretonas.data.source import PARTS, DataSource, describe_unseen
from paretonas.data.writing import ENCODED, FORMAT, write_prepared
from paretonas.errors import DataError, MachineError
from paretonas.files import is_refusal


@dataclass(frozen=True, eq=False)
class Split:
    """Some images and their labels, in random order.

    Args:
        images: (n, C, R, R) uint8, mapped from disk; writing to it changes this process's copy only. Or encoded images,
            where the data are streamed.
        labels: (n,) int64.
    """

    images: np.ndarray | EncodedImages
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A prepared data set. Pickles as its folder, so sending it to a worker on this machine is cheap.

    Args:
        train: What a candidate learns from.
        val: What a candidate is scored on.
        test: Scored by the final training only.
        full_train: Everything but `test`, so also what was left out of `train` and `val`; for the final training.
        classes: Names of the classes.
        resolution: Side of the images in pixels.
        channels: 1 if every image is greyscale, else 3 (RGB).
        flip: Whether a mirrored image still shows its class.
        digest: Hash of images (decoded; encoded where streamed), labels and splits: their identity in caches.
        skipped: Corrupt images that were left out, with the reasons.
        folder: Where the data are prepared.
        notes: Lines on what is odd about the data or was found beside them.
    """

    train: Split
    val: Split
    test: Split
    full_train: Split
    classes: tuple[str, ...]
    resolution: int
    channels: int
    flip: bool
    digest: str
    skipped: tuple[str, ...]
    folder: Path
    notes: tuple[str, ...] = ()

    @property
    def is_streamed(self) -> bool:
        """Whether images are decoded anew whenever they are needed."""
        return isinstance(self.train.images, EncodedImages)

    def __reduce__(self) -> tuple[Callable[[Path], ImageData], tuple[Path]]:
        return open_data, (self.folder,)


def prepare_data(source: DataSource, cache: Path, progress: Callable[[int, int], None] | None = None) -> ImageData:
    """Decode and split the data, or open them if an earlier call did so.

    Data are streamed where asked for, or where the decoded images exceed half of the memory. Splits that the data name
    are kept: `test` is the test split, and `val` beside it the validation split. `val` without `test`, as ImageNet is
    usually passed around, becomes the test split: a search makes its choices on validation images, so its result must
    be scored on others. With neither, a stratified 20 % becomes the test split, the same for every seed. A validation
    split that is not named is a stratified part of the training images.

    Args:
        source: Which data.
        cache: Folder that holds one prepared folder for each different source.
        progress: Called with the numbers of images decoded and of all images.

    Raises:
        DataError: The data cannot be used; the message says why and what helps.
    """
    listing = list_images(source)
    folder = Path(cache).expanduser() / _key(source, listing)
    prepared = _open_whole(folder)
    if prepared is None:
        write_prepared(source, listing, folder, progress, is_damaged=folder.exists())
        prepared = open_data(folder)
    return replace(prepared, notes=(*listing.notes, *prepared.notes))


def _open_whole(folder: Path) -> ImageData | None:
    """The prepared data; None if they are absent or damaged."""
    try:
        return open_data(folder)
    except DataError:
        return None


def open_data(folder: Path) -> ImageData:
    """Open a prepared folder; what it holds is mapped, not read.

    Raises:
        DataError: The folder is absent or damaged.
        MachineError: The machine refuses.
    """
    folder = Path(folder)
    with opened_whole(folder):
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        labels = open_array(folder / "labels.npy")
        classes = tuple(meta["classes"])
        train, left_out, val, test = np.cumsum([meta["counts"][part] for part in PARTS]).tolist()  # where each ends
        if meta["format"] != FORMAT:
            raise ValueError(f"its format is {meta['format']}, not {FORMAT}")
        if labels.dtype != np.int64 or labels.shape != (test,) or not set(labels.tolist()) <= set(range(len(classes))):
            raise ValueError("labels.npy does not match meta.json")
        images = _open_encoded(folder, meta, test) if "storage" in meta else _open_decoded(folder, meta, test)
        return ImageData(
            train=Split(images[:train], labels[:train]),
            val=Split(images[left_out:val], labels[left_out:val]),
            test=Split(images[val:], labels[val:]),
            full_train=Split(images[:val], labels[:val]),
            classes=classes,
            resolution=meta["resolution"],
            channels=meta["channels"],
            flip=meta["flip"],
            digest=meta["digest"],
            skipped=tuple(meta["skipped"]),
            folder=folder,
            notes=(
                *describe_repeats(meta.get("repeats", 0), test - val),
                *describe_unseen("validation", labels[left_out:val], classes),
                *describe_unseen("test", labels[val:], classes),
            ),
        )


@contextmanager
def opened_whole(folder: Path) -> Iterator[None]:
    """Whatever comes up while a prepared folder is opened is an error that says which, and whose fault it is.

    Raises:
        DataError: The folder is absent or damaged.
        MachineError: The machine refuses.
    """
    try:
        yield
    except Exception as error:  # a damaged file may say anything, and NumPy's and JSON's readers raise as much
        if is_refusal(error) or isinstance(error, PermissionError | MemoryError):
            raise MachineError(f"{folder} cannot be opened: {error}.") from error
        raise DataError(
            f"{folder} must hold data that were prepared, but cannot be opened: {error!r}. "
            "If it is damaged, delete this folder and prepare the data again."
        ) from error


def open_array(file: Path) -> np.ndarray:
    """Mapped, so that a header which lies about a size allocates nothing; shared until written to."""
    array: np.ndarray = np.lib.format.open_memmap(file, mode="c")
    return array


def _open_decoded(folder: Path, meta: Mapping[str, Any], n: int) -> np.ndarray:
    images = open_array(folder / "images.npy")
    if images.dtype != np.uint8 or images.shape != (n, meta["channels"], meta["resolution"], meta["resolution"]):
        raise ValueError("images.npy does not match meta.json")
    return images


def _open_encoded(folder: Path, meta: Mapping[str, Any], n: int) -> EncodedImages:
    if meta["storage"] != ENCODED:
        raise ValueError(f"its storage is {meta['storage']!r}, not {ENCODED!r}")
    file, places = folder / "encoded.bin", open_array(folder / "offsets.npy")
    if places.dtype != np.int64 or places.shape != (n, 2):
        raise ValueError("offsets.npy does not match meta.json")
    if (places < 0).any() or (places.sum(1) > file.stat().st_size).any():
        raise ValueError("offsets.npy does not match encoded.bin")
    return EncodedImages(file, places, meta["channels"], meta["resolution"], meta.get("max_pixels"))


def _key(source: DataSource, listing: Listing) -> str:
    asked = asdict(source) | {"path": listing.content, "format": FORMAT}
    later = ("stream", "image_column", "label_column", "max_pixels")  # keys made before these choices stay valid
    asked = {name: value for name, value in asked.items() if value or name not in later}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]

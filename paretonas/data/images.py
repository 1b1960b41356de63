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
import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from paretonas.data.decode import Listing, corrupt_images, decode_images, survey
from paretonas.data.encoded import EncodedImages, write_encoded
from paretonas.data.listing import list_images
from paretonas.data.source import PARTS, DataSource, split_images
from paretonas.errors import DataError

FORMAT = 1
MAX_INFERRED_RESOLUTION = 224
ENCODED = "encoded"
CHUNK = 1024


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
        digest: Hash of the images (decoded; encoded where streamed), labels and splits: the data's identity in caches
            of evaluations.
        skipped: Corrupt images that were left out, with the reasons.
        folder: Where the data are prepared.
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

    @property
    def is_streamed(self) -> bool:
        """Whether images are decoded anew whenever they are needed."""
        return isinstance(self.train.images, EncodedImages)

    def __reduce__(self) -> tuple[Callable[[Path], ImageData], tuple[Path]]:
        return open_data, (self.folder,)


def prepare_data(source: DataSource, cache: Path, progress: Callable[[int, int], None] | None = None) -> ImageData:
    """Decode and split the data, or open them if an earlier call did so.

    Data are streamed where asked for, or where the decoded images exceed half of the memory.

    Splits that the data name are kept: `test` is the test split, and `val` beside it the validation split. `val`
    without `test`, as ImageNet is usually passed around, becomes the test split: a search makes its choices on
    validation images, so its result must be scored on others. With neither, a stratified 20 % becomes the test split,
    the same for every seed. A validation split that is not named is a stratified part of the training images.

    Args:
        source: Which data.
        cache: Folder that holds one prepared folder for each different source.
        progress: Called with the numbers of images decoded and of all images.

    Raises:
        DataError: The data cannot be used; the message says why and what helps.
    """
    listing = list_images(source.path)
    folder = Path(cache).expanduser() / _key(source, listing)
    if not folder.exists():
        _prepare(source, listing, folder, progress)
    return open_data(folder)


def open_data(folder: Path) -> ImageData:
    """Open a prepared folder; what it holds is mapped, not read.

    Raises:
        DataError: The folder is absent or damaged.
    """
    folder = Path(folder)
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        labels = np.lib.format.open_memmap(folder / "labels.npy", mode="c")
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
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} must hold data that prepare_data wrote, but cannot be opened: {error!r}. "
            "If it is damaged, delete this folder and prepare the data again."
        ) from error


def _open_decoded(folder: Path, meta: Mapping[str, Any], n: int) -> np.ndarray:
    images = np.lib.format.open_memmap(folder / "images.npy", mode="c")  # shared until written to
    if images.dtype != np.uint8 or images.shape != (n, meta["channels"], meta["resolution"], meta["resolution"]):
        raise ValueError("images.npy does not match meta.json")
    return images


def _open_encoded(folder: Path, meta: Mapping[str, Any], n: int) -> EncodedImages:
    if meta["storage"] != ENCODED:
        raise ValueError(f"its storage is {meta['storage']!r}, not {ENCODED!r}")
    file, places = folder / "encoded.bin", np.load(folder / "offsets.npy", allow_pickle=False)
    if places.dtype != np.int64 or places.shape != (n, 2):
        raise ValueError("offsets.npy does not match meta.json")
    if (places < 0).any() or (places.sum(1) > file.stat().st_size).any():
        raise ValueError("offsets.npy does not match encoded.bin")
    return EncodedImages(file, places, meta["channels"], meta["resolution"])


def _key(source: DataSource, listing: Listing) -> str:
    asked = asdict(source) | {"path": listing.content, "format": FORMAT}
    if not source.stream:
        del asked["stream"]  # keys of data that were prepared before there was a choice stay valid
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]


def _prepare(source: DataSource, listing: Listing, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    """Write `folder` whole or not at all; another process may be writing the same."""
    parts = split_images(listing.labels, listing.splits, listing.classes, source)  # bad sizes stop before the work
    sides, all_grey = survey(listing)
    resolution = source.resolution or _infer_resolution(sides)
    needed = sum(len(part) for name, part in zip(PARTS, parts, strict=True) if name != "left_out")
    channels = 1 if all_grey else 3
    stream = source.stream or needed * channels * resolution**2 > _half_of_memory()
    partial = folder.with_name(f".{folder.name}-{uuid4().hex}")
    try:
        partial.mkdir(parents=True)
        if stream:
            _write_encoded(source, listing, partial, resolution, progress)
        else:
            _check_disk(len(listing.labels) * (3 + channels) * resolution**2, partial)
            _write_decoded(source, listing, partial, resolution, progress)
        os.replace(partial, folder)
    except OSError as error:
        if not folder.exists():
            raise DataError(f"Prepared images must fit into {folder.parent}, but writing failed: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_decoded(
    source: DataSource, listing: Listing, folder: Path, resolution: int, progress: Callable[[int, int], None] | None
) -> None:
    shape = (len(listing.labels), 3, resolution, resolution)
    decoded = np.lib.format.open_memmap(folder / "decoded.npy", mode="w+", dtype=np.uint8, shape=shape)
    is_grey, corrupt = decode_images(listing, decoded, progress)
    skipped, parts = _divide_sound(source, listing, corrupt)
    meta = _describe(listing, resolution, is_grey, parts)
    meta["digest"] = _reorder(folder, meta, decoded, listing.labels, np.concatenate(parts))
    (folder / "meta.json").write_text(json.dumps(meta | {"skipped": skipped}, indent=1), encoding="utf-8")


def _write_encoded(
    source: DataSource, listing: Listing, folder: Path, resolution: int, progress: Callable[[int, int], None] | None
) -> None:
    written = write_encoded(listing, folder / "encoded.bin", resolution, progress)
    skipped, parts = _divide_sound(source, listing, written.corrupt)
    meta = _describe(listing, resolution, written.is_grey, parts) | {"storage": ENCODED}
    order = np.concatenate(parts)
    np.save(folder / "offsets.npy", written.places[order])
    np.save(folder / "labels.npy", listing.labels[order])
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode() + listing.labels[order].tobytes())
    digest.update(written.hashes[order].tobytes())
    meta["digest"] = digest.hexdigest()
    (folder / "meta.json").write_text(json.dumps(meta | {"skipped": skipped}, indent=1), encoding="utf-8")


def _divide_sound(
    source: DataSource, listing: Listing, corrupt: Mapping[int, str]
) -> tuple[list[str], list[np.ndarray]]:
    """Names of the corrupt images with reasons, and the others divided into `PARTS`.

    Raises:
        DataError: Images are corrupt and may not be skipped, or all of a split are.
    """
    skipped = [f"{listing.names[index]}: {reason}" for index, reason in corrupt.items()]
    if skipped and not source.skip_corrupt:
        raise corrupt_images(skipped, len(listing.labels))
    kept = np.setdiff1d(np.arange(len(listing.labels)), list(corrupt))
    for name in np.setdiff1d(listing.splits, listing.splits[kept]):
        raise DataError(f"A split must hold images, but all images of {name} are corrupt: {skipped[0]}, …")
    parts = split_images(listing.labels[kept], listing.splits[kept], listing.classes, source)
    return skipped, [kept[part] for part in parts]


def _describe(listing: Listing, resolution: int, is_grey: np.ndarray, parts: Sequence[np.ndarray]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "classes": listing.classes,
        "resolution": resolution,
        "channels": 1 if is_grey[np.concatenate(parts)].all() else 3,
        "flip": listing.flip,
        "counts": dict(zip(PARTS, map(len, parts), strict=True)),
    }


def _reorder(folder: Path, meta: Mapping[str, Any], decoded: np.ndarray, labels: np.ndarray, order: np.ndarray) -> str:
    """Write images and labels in `order`, without channels that only repeat; returns the digest."""
    channels, labels = meta["channels"], labels[order]
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode() + labels.tobytes())
    shape = (len(order), channels, *decoded.shape[2:])
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(order), CHUNK):
        chunk = np.ascontiguousarray(decoded[order[start : start + CHUNK], :channels])
        images[start : start + CHUNK] = chunk
        digest.update(chunk.data)
    images.flush()
    np.save(folder / "labels.npy", labels)
    (folder / "decoded.npy").unlink()
    return digest.hexdigest()


def _infer_resolution(sides: Sequence[int]) -> int:
    nearest = int(statistics.median(sides or [8]) / 8 + 0.5) * 8
    return min(max(nearest, 8), MAX_INFERRED_RESOLUTION)


def _half_of_memory() -> int:
    """Bytes that images in memory may take: training holds train, val and test there."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)


def _check_disk(needed: int, folder: Path) -> None:
    """The disk holds decoded images twice for a moment."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"Preparing the images takes {needed / 1e9:.1f} GB on disk, but {folder.parent} has only "
            f"{free / 1e9:.1f} GB free. Make room or lower --resolution."
        )

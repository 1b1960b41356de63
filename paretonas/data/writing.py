"""How a folder of prepared data is written: see `paretonas.data.images` for what it holds.

    write_prepared   DataSource, Listing -> a folder, whole or not at all
    write_array      arrays -> a .npy file

All is written in turn and by ordinary writes: on a full disk these are refused, whereas a file mapped into memory ends
the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from paretonas.data.decode import Decoded, Listing, corrupt_images, survey, write_decoded
from paretonas.data.encoded import write_encoded
from paretonas.data.pixels import guarded
from paretonas.data.repeats import count_repeats, hash_images
from paretonas.data.source import PARTS, DataSource, split_images
from paretonas.errors import DataError, MachineError
from paretonas.files import refusals, rename_folder, scratch_folder, sweep

FORMAT = 1
ENCODED = "encoded"
MAX_INFERRED_RESOLUTION = 224
FEWEST_LEVELS = 16
"""Of 256, from the darkest to the brightest pixel of all images: with less, four bits hold all that is seen."""
CHUNK = 1024

Progress = Callable[[int, int], None] | None


def write_prepared(
    source: DataSource, listing: Listing, folder: Path, progress: Progress, *, is_damaged: bool = False
) -> None:
    """Write `folder` whole or not at all; another process may be writing the same.

    Args:
        source: Which data.
        listing: They.
        folder: Among those of other data. What a killed process left beside it goes.
        progress: Called with the numbers of images decoded and of all images.
        is_damaged: `folder` is there already, and is replaced.

    Raises:
        DataError: The data cannot be used; the message says why and what helps.
        MachineError: The machine refuses to read or to write.
    """
    parts = split_images(listing.labels, listing.splits, listing.classes, source)  # bad sizes stop before the work
    with guarded(source.max_pixels), written_whole(folder, is_damaged=is_damaged) as draft:
        sides, all_grey = survey(listing)
        resolution = source.resolution or _infer_resolution(sides)
        needed = sum(len(part) for name, part in zip(PARTS, parts, strict=True) if name != "left_out")
        channels = 1 if all_grey else 3
        stream = source.stream or needed * channels * resolution**2 > _half_of_memory()
        if stream:
            meta = _write_encoded(source, listing, draft, resolution, progress)
        else:
            check_disk(len(listing.labels) * (3 + channels) * resolution**2, draft)
            meta = _write_decoded(source, listing, draft, resolution, progress)
        (draft / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


@contextmanager
def written_whole(folder: Path, *, is_damaged: bool) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` in the end, unless an error came up or another process was faster.

    Args:
        folder: Among those of other data. What a killed process left beside it goes.
        is_damaged: `folder` is there already, and is replaced.

    Raises:
        MachineError: The machine refuses to write.
    """
    sweep(folder.parent)
    with scratch_folder(folder.parent) as scratch:
        draft = scratch / folder.name
        with refusals(f"Prepared images cannot be written to {folder.parent}"):
            draft.mkdir()
            yield draft
            if is_damaged:
                folder.replace(scratch / "damaged")  # goes with the scratch folder
            _put_in_place(draft, folder)


def write_array(file: Path, dtype: DTypeLike, shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> None:
    """Write arrays of the type, one after the other, as one of the shape.

    Raises:
        OSError: It cannot be written.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with file.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for chunk in chunks:
            out.write(np.ascontiguousarray(chunk).tobytes())


def _put_in_place(draft: Path, folder: Path) -> None:
    try:
        rename_folder(draft, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster
            raise


def _write_decoded(
    source: DataSource, listing: Listing, folder: Path, resolution: int, progress: Progress
) -> dict[str, Any]:
    file = folder / "decoded"
    found = write_decoded(listing, file, resolution, progress)
    skipped, parts = _divide_sound(source, listing, found)
    meta, order = _describe(listing, resolution, found, parts), np.concatenate(parts)
    channels, pixels = meta["channels"], (resolution, resolution)
    decoded = np.memmap(file, np.uint8, "r").reshape(-1, 3, *pixels)[:, :channels]  # others only repeat
    chunks = (decoded[found.rows[order[start : start + CHUNK]]] for start in range(0, len(order), CHUNK))
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode() + listing.labels[order].tobytes())
    write_array(folder / "images.npy", np.uint8, (len(order), channels, *pixels), hashed(chunks, digest))
    write_array(folder / "labels.npy", np.int64, (len(order),), [listing.labels[order]])
    file.unlink()
    repeats = count_repeats(hash_images(np.load(folder / "images.npy", mmap_mode="r")), len(parts[-1]))
    return meta | {"digest": digest.hexdigest(), "repeats": repeats, "skipped": skipped}


def _write_encoded(
    source: DataSource, listing: Listing, folder: Path, resolution: int, progress: Progress
) -> dict[str, Any]:
    written = write_encoded(listing, folder / "encoded.bin", resolution, progress)
    skipped, parts = _divide_sound(source, listing, written.decoded)
    meta = _describe(listing, resolution, written.decoded, parts) | {"storage": ENCODED}
    order = np.concatenate(parts)
    write_array(folder / "offsets.npy", np.int64, (len(order), 2), [written.places[order]])
    write_array(folder / "labels.npy", np.int64, (len(order),), [listing.labels[order]])
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode() + listing.labels[order].tobytes())
    digest.update(written.hashes[order].tobytes())
    repeats = count_repeats(written.hashes[order].view(np.uint64)[:, 0], len(parts[-1]))
    later = {} if source.max_pixels is None else {"max_pixels": source.max_pixels}
    return meta | {"digest": digest.hexdigest(), "repeats": repeats, "skipped": skipped} | later


def hashed(chunks: Iterable[np.ndarray], digest: Any) -> Iterator[np.ndarray]:
    """The arrays, each of which a hash of `hashlib` is fed with as it passes."""
    for chunk in map(np.ascontiguousarray, chunks):
        digest.update(chunk.data)
        yield chunk


def _divide_sound(source: DataSource, listing: Listing, found: Decoded) -> tuple[list[str], list[np.ndarray]]:
    """Names of the corrupt images with reasons, and the others divided into `PARTS`.

    Raises:
        DataError: Images are corrupt and may not be skipped, all of a split are, or the others show next to nothing.
    """
    skipped = [f"{listing.names[index]}: {reason}" for index, reason in found.corrupt.items()]
    if skipped and not source.skip_corrupt:
        raise corrupt_images(skipped, len(listing.labels))
    kept = np.setdiff1d(np.arange(len(listing.labels)), list(found.corrupt))
    for name in np.setdiff1d(listing.splits, listing.splits[kept]):
        raise DataError(f"A split must hold images, but all images of {name} are corrupt: {skipped[0]}, …")
    _check_levels(found.levels[kept])
    parts = split_images(listing.labels[kept], listing.splits[kept], listing.classes, source)
    return skipped, [kept[part] for part in parts]


def _check_levels(levels: np.ndarray) -> None:
    """Masks of 0 and 1 in files of 8 bits are next to black, and so are colours of 12 bits in files of 16."""
    low, high = int(levels.min()), int(levels.max())
    if high - low < FEWEST_LEVELS:
        raise DataError(
            f"Pixels must use the range of their files, but in 8 bits all of them lie in {low}..{high} of 0..255: "
            "stretch the images to the whole range of their format."
        )


def _describe(listing: Listing, resolution: int, found: Decoded, parts: Sequence[np.ndarray]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "classes": listing.classes,
        "resolution": resolution,
        "channels": 1 if found.is_grey[np.concatenate(parts)].all() else 3,
        "flip": listing.flip,
        "counts": dict(zip(PARTS, map(len, parts), strict=True)),
    }


def _infer_resolution(sides: Sequence[int]) -> int:
    nearest = int(statistics.median(sides or [8]) / 8 + 0.5) * 8
    return min(max(nearest, 8), MAX_INFERRED_RESOLUTION)


def _half_of_memory() -> int:
    """Bytes that images in memory may take: training holds train, val and test there."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)


def check_disk(needed: int, folder: Path) -> None:
    """Check that so many bytes can be written; the disk holds decoded images twice for a moment.

    Raises:
        MachineError: They cannot.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineError(
            f"Preparing the images takes {needed / 1e6:,.0f} MB on disk, but {folder.parent.parent} has only "
            f"{free / 1e6:,.0f} MB free. Make room or lower --resolution."
        )

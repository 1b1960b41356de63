"""Where the images of a data set for detection lie and which boxes they have, whatever format the user names.

Headers of images are read, as boxes depend on sizes; nothing is decoded, unpacked to the disk or unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from paretonas.data import coco, voc, yolo, yolo_names
from paretonas.data.box_files import ARCHIVE, stream_places
from paretonas.data.box_headers import Headers, read_headers
from paretonas.data.box_known import keep_known, known_file, read_known
from paretonas.data.box_sizes import Placed, place_boxes
from paretonas.data.boxes import Annotated, BoxListing, name_few
from paretonas.data.contents import Contents, count, list_contents, list_unused, name_some, suffix_of
from paretonas.data.decode import name_first
from paretonas.data.pixels import guarded, is_machine_fault, machine_fault
from paretonas.data.source import check_learned
from paretonas.errors import DataError

FEWEST = 2
KINDS = ("COCO's JSON", "Pascal VOC's XML", "YOLO's data.yaml")


def list_boxes(
    path: str | Path, skip_corrupt: bool, max_pixels: int | None = None, cache: Path | None = None
) -> BoxListing:
    """Find the images and boxes at a path, which may be any of these.

    - COCO's format: a folder with `train.json`, `val.json` and `test.json` or other files named so, or one such file:
      see `find_documents`. The images lie in folders beside, or in a zip archive, from which they are read.
    - Pascal VOC's: `Annotations/` and `JPEGImages/`, or XML files beside the images: see `list_voc`.
    - YOLO's: a folder with a `data.yaml`, or that file: see `list_yolo`; or with the names of the classes in a text
      file: see `list_named`.

    A box that reaches out of its image is cut off at the edge; boxes of images that are stored in another size or
    turned follow them: see `place_boxes`. Boxes that are there twice count once. Each is told of in the notes, as are
    images without boxes, which are kept.

    Args:
        path: A file or a folder.
        skip_corrupt: Leave images and annotations that cannot be used out instead of stopping.
        max_pixels: Most pixels that an image may have. None: 89,478,485.
        cache: Folder where headers of images are kept for the next time. None: nowhere.

    Raises:
        DataError: Nothing of that kind is there, or it cannot be used; the message says why and what helps.
        MachineError: The machine refuses to read.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise DataError(f"The data must exist, but {str(path)!r} does not. Give a file or a folder.")
    try:
        annotated = _read_folder(list_contents(root)) if root.is_dir() else _read_file(root)
        with guarded(max_pixels):
            headers = _read_headers(annotated, max_pixels, cache)
    except (OSError, MemoryError) as error:
        if is_machine_fault(error):
            raise machine_fault(f"The data {root}", error) from error
        raise DataError(f"The data must be readable, but {str(path)!r} is not: {error}") from error
    placed = place_boxes(annotated, headers)
    faults = _collect_faults(annotated, placed)
    if faults and not skip_corrupt:
        lines = [f"{name}: {why}" for name, why in faults.items()]
        raise DataError(
            f"Every image and annotation must be usable, but {len(faults):,} of {count(len(annotated.names), 'image')} "
            f"and {count(len(annotated.rows) + len(annotated.faults), 'annotation')} are not: {name_first(lines)}. "
            "Correct them, or leave them out with --skip-corrupt."
        )
    return _list_sound(annotated, headers, placed, faults)


def _read_headers(annotated: Annotated, max_pixels: int | None, cache: Path | None) -> Headers:
    places = [None if index in annotated.lost else place for index, place in enumerate(annotated.places)]
    if cache is None:
        return read_headers(places)
    file = known_file(cache, places, max_pixels)
    before = read_known(file, len(places))
    headers = read_headers(places, before)
    if not np.array_equal(headers.known, before):
        keep_known(file, headers.known)
    return headers


def _read_file(file: Path) -> Annotated:
    suffix = file.suffix.lower()
    if suffix in yolo.SUFFIXES:
        return yolo.list_yolo(file)
    if suffix == coco.SUFFIX:
        folder = file.resolve().parent
        folder = folder.parent if folder.name.lower() == voc.ANNOTATIONS else folder
        return coco.list_coco(list_contents(folder), {"train": file.resolve().relative_to(folder).parts})
    hint = " Unpack it, and give the folder." if suffix == ARCHIVE else ""
    raise _unknown_layout(f"{file} is a file of another kind", hint)


def _read_folder(contents: Contents) -> Annotated:
    """Of whichever format is there; a single JSON or YAML file is read whatever it is called."""
    documents = coco.find_documents(contents)
    annotations = voc.find_annotations(contents)
    descriptions = yolo.find_descriptions(contents)
    kinds = [kind for kind, files in zip(KINDS, (documents, annotations, descriptions), strict=True) if files]
    several = kinds if len(kinds) > 1 else [file[0] for file in descriptions]
    if len(several) > 1:
        raise DataError(
            f"Data must be one data set, but {contents.root} holds {' and '.join(several)}. Give the annotation file "
            "itself, or move the others away."
        )
    if documents:
        return coco.list_coco(contents, documents)
    if annotations:
        return voc.list_voc(contents, annotations)
    named = yolo_names.find_names(contents)
    if named and not descriptions:
        return yolo_names.list_named(contents, named)
    others = [file for file in contents.files if suffix_of(file) in (coco.SUFFIX, *yolo.SUFFIXES)]
    if descriptions or len(others) == 1:
        return _read_file(contents.path((descriptions or others)[0]))
    packed = [file for file in contents.files if suffix_of(file) == ARCHIVE]
    hint = f" Unpack {name_some(packed)}, if that holds them." if packed else ""
    hint = f" Of {name_some(others)}, give the one that is meant." if others else hint
    raise _unknown_layout(f"{contents.root} holds {list_unused(contents, ()) or 'nothing'}", hint)


def _unknown_layout(found: str, hint: str = "") -> DataError:
    return DataError(
        "Data for detection must be COCO's JSON (train.json, val.json, test.json, annotations/instances_*.json or "
        f"train/_annotations.coco.json, beside the images or a {ARCHIVE} of them), Pascal VOC's XML (Annotations/ and "
        "JPEGImages/, or XML beside the images) or YOLO's data.yaml (or classes.txt, obj.names, _darknet.labels) with "
        f"its images and labels, but {found}.{hint}"
    )


def _collect_faults(annotated: Annotated, placed: Placed) -> dict[str, str]:
    """Why images and annotations cannot be used, by their names."""
    images = {annotated.names[index]: why for index, why in placed.lost.items()}
    return images | dict(annotated.faults) | {annotated.name_row(row): why for row, why in placed.faulty.items()}


def _list_sound(annotated: Annotated, headers: Headers, placed: Placed, faults: Mapping[str, str]) -> BoxListing:
    """The images and boxes that can be used."""
    kept = np.setdiff1d(np.arange(len(annotated.names)), list(placed.lost))
    _check_images(annotated, kept, faults)
    owners, labels, is_ignored = annotated.owners, annotated.labels, annotated.is_ignored
    rows = np.setdiff1d(np.flatnonzero(np.isin(owners, kept)), list(placed.faulty))
    repeated = _find_repeated(np.column_stack([owners, labels, is_ignored, placed.boxes])[rows])
    rows = np.delete(rows, repeated)
    shown = np.unique(labels[rows][~is_ignored[rows]])
    is_listed = np.isin(labels[rows], shown)
    notes = (
        *annotated.notes,
        *placed.notes,
        *_describe_boxes(annotated, rows, len(repeated)),
        *_describe_classes(annotated, shown, int((~is_listed).sum())),
        *_describe_images(annotated, kept, rows),
    )
    rows = rows[is_listed]
    rows = rows[np.argsort(owners[rows], kind="stable")]
    classes = tuple(annotated.classes[label] for label in shown)
    labels = np.searchsorted(shown, labels)
    is_train = annotated.splits[owners] == "train"
    trained = int((annotated.splits[kept] == "train").sum())
    _check_training(labels[rows][is_train[rows] & ~is_ignored[rows]], trained, classes)
    places = [place for index in kept if (place := annotated.places[index]) is not None]
    ends = np.cumsum(np.bincount(owners[rows], minlength=len(annotated.names))[kept])[:-1]
    named = [annotated.names[index] for index in kept]
    columns = (placed.boxes[rows], labels[rows], is_ignored[rows])
    arrays = (annotated.splits[kept], headers.sizes[kept], headers.stamps[kept], ends, *columns)
    return BoxListing(
        names=named,
        splits=annotated.splits[kept],
        sizes=headers.sizes[kept],
        boxes=np.split(columns[0], ends),
        labels=np.split(columns[1], ends),
        is_ignored=np.split(columns[2], ends),
        classes=classes,
        content=_hash([named, classes], arrays),
        encoded=partial(stream_places, places),
        notes=notes,
        faults=faults,
    )


def _check_images(annotated: Annotated, kept: np.ndarray, faults: Mapping[str, str]) -> None:
    left_out = f" {name_first([f'{name}: {why}' for name, why in faults.items()])}" if faults else ""
    if len(kept) < FEWEST:
        raise DataError(f"There must be {FEWEST} images at least, but there is {len(kept)}. Add images.{left_out}")
    for split in np.setdiff1d(annotated.splits, annotated.splits[kept]):
        raise DataError(f"A split must hold images, but all images of {split} are left out.{left_out}")


def _check_training(learned: np.ndarray, images: int, classes: tuple[str, ...]) -> None:
    """Whether the boxes that are learned from, (k,) labels, show all classes."""
    if not len(learned):
        raise DataError(
            f"Training images must show boxes to learn from, but none of {count(images, 'image')} does. Give their "
            "annotations, or divide the images anew."
        )
    check_learned(learned, classes)


def _find_repeated(rows: np.ndarray) -> np.ndarray:
    """Which rows are there before, too."""
    order = np.lexsort(rows.T)
    is_same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    return np.asarray(order[1:][is_same])


def _describe_boxes(annotated: Annotated, rows: np.ndarray, repeated: int) -> tuple[str, ...]:
    ignored = int(annotated.is_ignored[rows].sum())
    lines = (
        f"{count(repeated, 'box')} there twice and counted once" if repeated else "",
        f"{count(ignored, 'box')} of crowds or of what is difficult: neither learned from nor counted"
        if ignored
        else "",
    )
    return tuple(line for line in lines if line)


def _describe_classes(annotated: Annotated, shown: np.ndarray, ignored: int) -> tuple[str, ...]:
    if not len(shown):
        raise DataError(
            f"Images must show boxes to learn from, but none of {count(len(annotated.names), 'image')} does. Give "
            "their annotations."
        )
    unused = [name for label, name in enumerate(annotated.classes) if label not in set(shown.tolist())]
    with_them = f", with {count(ignored, 'box')} of crowds or of what is difficult" if ignored else ""
    return (f"no image is of {name_few(unused)}: left out of the classes{with_them}",) if unused else ()


def _describe_images(annotated: Annotated, kept: np.ndarray, rows: np.ndarray) -> tuple[str, ...]:
    empty = np.setdiff1d(kept, annotated.owners[rows])
    splits: dict[object, set[str]] = {}
    for index in kept:
        splits.setdefault(annotated.places[index], set()).add(str(annotated.splits[index]))
    shared = [annotated.names[index] for index in kept if len(splits[annotated.places[index]]) > 1]
    shared = list(dict.fromkeys(shared))
    lines = (
        f"{len(empty):,} of {count(len(kept), 'image')} without a box, and learned from as such" if len(empty) else "",
        f"{count(len(shared), 'image')} in more than one split ({name_few(shared)}): what is scored on them was "
        "learned by heart; remove them from all but one"
        if shared
        else "",
    )
    return tuple(line for line in lines if line)


def _hash(names: object, arrays: tuple[np.ndarray, ...]) -> str:
    digest = hashlib.sha256(json.dumps(names).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

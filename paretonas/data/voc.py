"""Pascal VOC's format: an XML file for each image.

Read are the original folders `Annotations/`, `JPEGImages/` (or `images/`) and `ImageSets/Main/{train,val,test}.txt`,
and XML files beside the images, as Roboflow exports them, in a folder for each split or in one for all.

Pixels count from 1 in this format, and a box includes those that it names. Where a box begins at 0 its tool counted
from 0: then all edges are taken as they stand.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np

from paretonas.data.box_sizes import MOST
from paretonas.data.box_xml import read_xml
from paretonas.data.boxes import Annotated, Row, name_few, short, to_table
from paretonas.data.classes import unite_names
from paretonas.data.contents import (
    SPLITS,
    Contents,
    Parts,
    check_has_train,
    describe_unused,
    image_suffixes,
    suffix_of,
)
from paretonas.data.text import read_text
from paretonas.errors import DataError

SUFFIX = ".xml"
ANNOTATIONS, IMAGES, SETS = "annotations", ("jpegimages", "images"), ("ImageSets", "Main")
"""Names of folders; the first three in lower case."""
SET_FILES = {"train": "train.txt", "val": "val.txt", "test": "test.txt"}
ALL_BUT_TEST = "trainval.txt"
EDGES = ("xmin", "ymin", "xmax", "ymax")
NUMBERING = "{file} object {number}"


@dataclass(frozen=True)
class Pair:
    """An image and its annotation file, either of which may be missing.

    Args:
        stem: What their names share.
        split: "train", "val" or "test".
        images: Files of that name; there should be one.
        annotation: The XML file.
    """

    stem: str
    split: str
    images: tuple[Parts, ...]
    annotation: Parts | None

    @property
    def name(self) -> str:
        """For messages."""
        return "/".join((self.images or (self.annotation or (self.stem,),))[0])


@dataclass(frozen=True)
class Described:
    """What an XML file says.

    Args:
        size: Width and height; NaN where it says none.
        boxes: Name of the class, edges and whether it is difficult, by the number of the object.
        faults: Why an object cannot be used, by its number.
    """

    size: tuple[float, float]
    boxes: Mapping[int, tuple[str, tuple[float, ...], bool]]
    faults: Mapping[int, str]


def find_annotations(contents: Contents) -> list[Parts]:
    """The XML files in a folder `Annotations` or beside images."""
    places = {file[:-1] for file in contents.files if suffix_of(file) in image_suffixes()}
    found = [file for file in contents.files if suffix_of(file) == SUFFIX]
    return [file for file in found if file[:-1] in places or _is_apart(file[:-1])]


def list_voc(contents: Contents, annotations: Sequence[Parts]) -> Annotated:
    """Read the annotations.

    Args:
        contents: Of the folder that holds them and the images.
        annotations: XML files among them.

    Raises:
        DataError: The folders are not laid out so; annotations that cannot be used are told of in what is returned.
    """
    pairs, sets = _pair(contents, annotations)
    lost: dict[int, str] = {}
    described: dict[int, Described] = {}
    for index, pair in enumerate(pairs):
        why = _find_fault(pair)
        try:
            if pair.annotation and not why:
                described[index] = _describe(read_xml(contents.path(pair.annotation)))
        except ValueError as error:
            why = f"its annotations {'/'.join(pair.annotation or ())} cannot be used: {error}"
        if why:
            lost[index] = why
    used = [*sets, *(file for pair in pairs for file in (*pair.images, pair.annotation) if file)]
    annotated = _annotate(contents, pairs, described)
    return replace(annotated, lost=lost, notes=(*annotated.notes, *describe_unused(contents, used)))


def _pair(contents: Contents, annotations: Sequence[Parts]) -> tuple[list[Pair], list[Parts]]:
    """Images with their annotation files, and the files that divide them into sets."""
    homes: dict[Parts, dict[str, Parts]] = {}
    for file in annotations:
        home = file[:-2] if _is_apart(file[:-1]) else file[:-1]
        other = homes.setdefault(home, {}).setdefault(_stem(file), file)
        if other != file:
            raise DataError(
                f"Every image must have one annotation file, but in {contents.root} {'/'.join(other)} and "
                f"{'/'.join(file)} are of the same. Remove one."
            )
    sets = {home: files for home in homes if (files := _find_sets(contents, home))}
    splits = {home: _split_around(home) for home in homes}
    is_divided = all(splits.values()) and not sets
    if len(homes) > 1 and not is_divided:
        named = ", ".join("/".join(home) or "." for home in homes)
        raise DataError(
            f"Annotations must be of one data set, in one folder or in one for each split, but in {contents.root} they "
            f"lie in {named}. Give one of these."
        )
    if is_divided:
        check_has_train(contents.root, splits.values())
    pairs: list[Pair] = []
    for home, named_so in homes.items():
        images = _find_images(contents, home, is_apart=any(_is_apart(file[:-1]) for file in named_so.values()))
        stems = _read_sets(contents, sets[home]) if home in sets else {splits[home]: sorted({*named_so, *images})}
        for split, members in stems.items():
            pairs += [Pair(stem, split or "train", tuple(images.get(stem, ())), named_so.get(stem)) for stem in members]
    return pairs, [file for files in sets.values() for file in files.values()]


def _is_apart(folder: Parts) -> bool:
    return bool(folder) and folder[-1].lower() == ANNOTATIONS


def _stem(file: Parts) -> str:
    return os.path.splitext(file[-1])[0]


def _split_around(home: Parts) -> str:
    return next((SPLITS[folder.lower()] for folder in reversed(home) if folder.lower() in SPLITS), "")


def _find_images(contents: Contents, home: Parts, *, is_apart: bool) -> dict[str, list[Parts]]:
    """By the stems of their names."""
    found: dict[str, list[Parts]] = {}
    for file in contents.files:
        is_here = file[:-2] == home and len(file) > 1 and file[-2].lower() in IMAGES if is_apart else file[:-1] == home
        if is_here and suffix_of(file) in image_suffixes():
            found.setdefault(_stem(file), []).append(file)
    return found


def _find_sets(contents: Contents, home: Parts) -> dict[str, Parts]:
    """The files that name the images of a split, by the split, or by `trainval` where it is of use."""
    files = set(contents.files)
    named = {split: (*home, *SETS, name) for split, name in SET_FILES.items()}
    found = {split: file for split, file in named.items() if file in files}
    both = (*home, *SETS, ALL_BUT_TEST)
    if both in files and not {"train", "val"} <= set(found):
        found["trainval"] = both
    if found and "trainval" not in found:
        check_has_train(contents.root, found)
    return found


def _read_sets(contents: Contents, files: Mapping[str, Parts]) -> dict[str, list[str]]:
    """Stems of the images of each split; what is in `trainval` alone is of the split that has no file."""
    sets: dict[str, list[str]] = {}
    for split, file in files.items():
        lines = read_text(contents.path(file)).splitlines()
        sets[split] = [line.strip() for line in lines if line.strip()]
        if not sets[split]:
            raise DataError(
                f"A split must list images, but {'/'.join(file)} of {contents.root} lists none. Fill it, or remove it."
            )
        if len(set(sets[split])) < len(sets[split]):
            twice = [stem for stem, times in Counter(sets[split]).items() if times > 1]
            raise DataError(
                f"Every image must be listed once, but {'/'.join(file)} of {contents.root} lists several times "
                f"{name_few(twice)}. Remove the others."
            )
    both = sets.pop("trainval", [])
    elsewhere = {stem for stems in sets.values() for stem in stems}
    rest = [stem for stem in both if stem not in elsewhere]
    if rest:
        sets["val" if "train" in sets else "train"] = rest
    return sets


def _find_fault(pair: Pair) -> str:
    """Why an image cannot be used; empty where nothing is known against it."""
    if not pair.images:
        return "there is no image of that name"
    if len(pair.images) > 1:
        return f"there are {len(pair.images)} images of that name"
    if pair.annotation is None:
        return "it has no annotation file; an image that shows nothing has one without objects"
    return ""


def _describe(root: Element) -> Described:
    if root.tag != "annotation":
        raise ValueError(f"its annotation must be an element `annotation`, but is {short(root.tag)}")
    size = _read_size(root)
    boxes, faults = {}, {}
    for number, item in enumerate(root.findall("object"), 1):
        name = (item.findtext("name") or "").strip()
        edges = tuple(_number(item.findtext(f"bndbox/{edge}")) for edge in EDGES)
        difficult = (item.findtext("difficult") or "0").strip()
        if not name:
            faults[number] = "it must have the name of a class, but has none"
        elif not all(-MOST < edge < MOST for edge in edges):
            given = [item.findtext(f"bndbox/{edge}") for edge in EDGES]
            faults[number] = f"its bndbox must have the finite numbers {', '.join(EDGES)}, but has {short(given)}"
        elif difficult not in ("0", "1"):
            faults[number] = f"`difficult` must be 0 or 1, but is {short(difficult)}"
        else:
            boxes[number] = name, edges, difficult == "1"
    return Described(size, boxes, faults)


def _read_size(root: Element) -> tuple[float, float]:
    """NaN where none is stated: absent, or as zeros, as some tools do."""
    texts = [root.findtext(f"size/{side}") for side in ("width", "height")]
    width, height = map(_number, texts)
    if texts == [None, None] or (width, height) == (0, 0):
        return math.nan, math.nan
    if not (0 < width < MOST and 0 < height < MOST):
        raise ValueError(f"`size` must have a width and a height in pixels, but has {short(texts)}")
    return width, height


def _number(text: str | None) -> float:
    """NaN where it is none."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _annotate(contents: Contents, pairs: Sequence[Pair], described: Mapping[int, Described]) -> Annotated:
    given = {name for one in described.values() for name, _, _ in one.boxes.values()}
    united = unite_names(sorted(given), contents.root)
    labels = {name: label for label, name in enumerate(sorted(set(united.values())))}
    files = ["/".join(pair.annotation or ()) for pair in pairs]
    stated, rows, faults = np.full((len(pairs), 2), math.nan), [], {}
    for index, one in described.items():
        stated[index] = one.size
        for number, (name, edges, is_difficult) in one.boxes.items():
            x1, y1, x2, y2 = edges
            rows.append(Row(index, number, labels[united[name]], x1, y1, x2, y2, is_difficult))
        for number, why in one.faults.items():
            faults[NUMBERING.format(file=files[index], number=number)] = why
    table = to_table(rows)
    counts_from_1 = (table[:, 3:5] >= 1).all()
    table[:, 3:5] -= counts_from_1
    return Annotated(
        names=[pair.name for pair in pairs],
        places=[contents.path(pair.images[0]) if len(pair.images) == 1 else None for pair in pairs],
        files=files,
        splits=np.array([pair.split for pair in pairs], dtype=np.str_),
        stated=stated,
        rows=table,
        classes=tuple(labels),
        numbering=NUMBERING,
        faults=faults,
        notes=() if counts_from_1 else ("some boxes begin at 0: all are taken to count pixels from 0, not from 1",),
    )

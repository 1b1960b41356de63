"""COCO's format: a JSON file for each split that lists images, annotations and categories.

Read are `train.json`, `val.json` and `test.json` beside the images or an archive of them; the official
`annotations/instances_train2017.json` beside `train2017/`; and Roboflow's `train/_annotations.coco.json`. Only boxes
are read: what an annotation says beside (polygons, key points, captions) is passed over.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.data.box_files import Found, Pictures, inner_parts
from paretonas.data.box_sizes import MOST
from paretonas.data.boxes import Annotated, Row, join, name_few, short, to_table
from paretonas.data.classes import unite_names
from paretonas.data.contents import Contents, Parts, check_has_train, count, suffix_of
from paretonas.data.shards import split_of
from paretonas.errors import DataError
from paretonas.files import open_regular

SUFFIX = ".json"
DEEPEST = 3
"""Parts of the path of an annotation file at most."""
OFFICIAL = "instances"
"""How the file with boxes is called where there are others, of captions and key points."""
NUMBERING = "{file} annotations[{number}] of {image}"
NUMBERS = {int, float}
LISTS = ("images", "annotations", "categories")

Id = int | str


@dataclass(frozen=True, eq=False)
class Document:
    """An annotation file.

    Args:
        name: For messages.
        split: Of all its images.
        images: As they are listed.
        annotations: As they are listed.
        categories: Names by id.
    """

    name: str
    split: str
    images: Sequence[Any]
    annotations: Sequence[Any]
    categories: Mapping[Id, str]


def find_documents(contents: Contents) -> dict[str, Parts]:
    """The annotation file of each split in a folder; none where no name of a file or folder says a split.

    Raises:
        DataError: A split has several, or none is of training.
    """
    found = [file for file in contents.files if suffix_of(file) == SUFFIX and len(file) <= DEEPEST]
    named = [file for file in found if split_of(file)]
    named = [file for file in named if file[-1].startswith(OFFICIAL)] or named
    if not named:
        return {}
    files: dict[str, Parts] = {}
    for file in named:
        other = files.setdefault(split_of(file), file)
        if other != file:
            raise DataError(
                f"Every split must have one annotation file, but in {contents.root} both {'/'.join(other)} and "
                f"{'/'.join(file)} are of {split_of(file)}. Move one away, or give a file itself."
            )
    check_has_train(contents.root, files)
    return files


def list_coco(contents: Contents, files: Mapping[str, Parts]) -> Annotated:
    """Read the annotations.

    Args:
        contents: Of the folder that holds them and the images.
        files: By split.

    Raises:
        DataError: A file is not of the format; annotations that cannot be used are told of in what is returned.
    """
    documents = [_read(contents.path(file), "/".join(file), split) for split, file in files.items()]
    names = dict.fromkeys(name for document in documents for name in document.categories.values())
    labels = {name: label for label, name in enumerate(names)}
    pictures = Pictures(contents)
    images = [_find_images(document, pictures) for document in documents]
    pairs = zip(documents, images, strict=True)
    annotated = join([_annotate(document, found, labels) for document, found in pairs])
    found = [file for part in images for file in part if isinstance(file, Found)]
    return replace(annotated, notes=(*annotated.notes, *pictures.describe_rest(found, list(files.values()))))


def _read(file: Path, name: str, split: str) -> Document:
    try:
        with open_regular(file) as opened:
            given = json.loads(opened.read().decode("utf-8-sig"), object_hook=_lighten)
    except (ValueError, RecursionError) as error:
        raise DataError(f"Annotations must be whole JSON in UTF-8, but {file} is not: {error}. Get it anew.") from error
    absent = [key for key in LISTS if not isinstance(given, dict) or not isinstance(given.get(key), list)]
    if absent:
        raise DataError(
            f"Annotations of COCO's format must be an object with the lists {', '.join(LISTS)}, but {file} has no list "
            f"{', '.join(absent)}. Give an annotation file, or correct it."
        )
    if not given["images"]:
        raise DataError(f"Annotations must list images, but {file} lists none. Remove it, or get it anew.")
    categories = _name_categories(given["categories"], given["annotations"], file)
    return Document(name, split, given["images"], given["annotations"], categories)


def _lighten(item: dict[str, Any]) -> dict[str, Any]:
    """Outlines are most of a file, and would fill the memory."""
    item.pop("segmentation", None)
    return item


def _name_categories(given: Sequence[Any], annotations: Sequence[Any], file: Path) -> dict[Id, str]:
    """Names by id, in the order of the ids; of two categories of a name, one that no annotation uses goes.

    Roboflow lists the name of the whole data set as a category, too.
    """
    named: dict[Id, str] = {}
    for number, category in enumerate(given):
        if not _has_id(category) or not isinstance(category.get("name"), str) or not category["name"].strip():
            raise DataError(
                f"A category must have an `id` and a `name`, but categories[{number}] of {file} is {short(category)}. "
                "Correct it."
            )
        if category["id"] in named:
            raise DataError(
                f"Every category must have an id of its own, but in {file} {named[category['id']]!r} and "
                f"{category['name']!r} have {category['id']!r}. Correct it."
            )
        named[category["id"]] = category["name"]
    united = unite_names(dict.fromkeys(named.values()), file)
    ids = (item.get("category_id") for item in annotations if isinstance(item, dict))
    used = {id_ for id_ in ids if type(id_) in (int, str)}
    often = Counter(named.values())
    kept = {id_: united[name] for id_, name in named.items() if often[name] == 1 or id_ in used}
    twice = [name for name, times in Counter(kept.values()).items() if times > 1]
    if twice:
        raise DataError(
            f"Categories must have names of their own, but in {file} {count(len(twice), 'name')} are those of several: "
            f"{name_few(twice)}. Make them one, or rename one."
        )
    return dict(sorted(kept.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))


def _has_id(item: Any) -> bool:
    return isinstance(item, dict) and type(item.get("id")) in (int, str)


def _find_images(document: Document, pictures: Pictures) -> list[Found | str]:
    """Where each image lies, or why it is not known."""
    files: dict[str, Id] = {}
    ids: dict[Id, str] = {}
    for number, image in enumerate(document.images):
        if not _has_id(image) or not isinstance(image.get("file_name"), str):
            raise DataError(
                f"An image must have an `id` and a `file_name`, but images[{number}] of {document.name} is "
                f"{short(image)}. Correct it."
            )
        id_, file = image["id"], image["file_name"]
        if ids.setdefault(id_, file) != file:
            raise DataError(
                f"Every image must have an id of its own, but in {document.name} {ids[id_]!r} and {file!r} have "
                f"{id_!r}. Correct it."
            )
        if file in files:
            raise DataError(
                f"Every image must be listed once, but {document.name} lists {file!r} with the ids {files[file]!r} and "
                f"{id_!r}. Make them one."
            )
        files[file] = id_
    return [_find_image(file, document, pictures) for file in files]


def _find_image(file_name: str, document: Document, pictures: Pictures) -> Found | str:
    try:
        return pictures.find(inner_parts(file_name), document.split)
    except ValueError as error:
        return str(error)


def _annotate(document: Document, found: Sequence[Found | str], labels: Mapping[str, int]) -> Annotated:
    images = {image["id"]: index for index, image in enumerate(document.images)}
    categories = {id_: labels[name] for id_, name in document.categories.items()}
    stated, lost = _read_sizes(document)
    lost = {index: file for index, file in enumerate(found) if isinstance(file, str)} | lost
    names = [
        file.name if isinstance(file, Found) else image["file_name"]
        for file, image in zip(found, document.images, strict=True)
    ]
    names_by_id = {id_: names[index] for id_, index in images.items()}
    rows, faults = [], {}
    for number, item in enumerate(document.annotations):
        why = _find_fault(item, images, categories)
        if why:
            faults[_name_annotation(document.name, number, item, names_by_id)] = why
            continue
        x, y, width, height = item["bbox"]
        owner, label = images[item["image_id"]], categories[item["category_id"]]
        rows.append(Row(owner, number, label, x, y, x + width, y + height, bool(item.get("iscrowd"))))
    return Annotated(
        names=names,
        places=[file.place if isinstance(file, Found) else None for file in found],
        files=[document.name] * len(found),
        splits=np.full(len(found), document.split),
        stated=stated,
        rows=to_table(rows),
        classes=tuple(labels),
        numbering=NUMBERING,
        lost=lost,
        faults=faults,
        notes=_describe_ids(document),
    )


def _read_sizes(document: Document) -> tuple[np.ndarray, dict[int, str]]:
    """(n, 2) float64, NaN where none is stated; and those that no image has."""
    stated, wrong = np.full((len(document.images), 2), math.nan), {}
    for index, image in enumerate(document.images):
        size = image.get("width"), image.get("height")
        if size in ((None, None), (0, 0)):
            continue
        if all(type(side) in (int, float) and 0 < side < MOST for side in size):
            stated[index] = size
        else:
            wrong[index] = f"its width and height must be numbers of pixels, but {document.name} states {short(size)}"
    return stated, wrong


def _name_annotation(file: str, number: int, item: Any, names: Mapping[Id, str]) -> str:
    """With its image, where that is known."""
    image = item.get("image_id") if isinstance(item, dict) else None
    if isinstance(image, int | str) and image in names:
        return NUMBERING.format(file=file, number=number, image=names[image])
    return NUMBERING.partition(" of ")[0].format(file=file, number=number)


def _find_fault(item: Any, images: Mapping[Id, int], categories: Mapping[Id, int]) -> str:
    """Why an annotation cannot be used; empty where it can."""
    if not isinstance(item, dict):
        return f"it must be an object, but is {short(item)}"
    image, category, box, crowd = item.get("image_id"), item.get("category_id"), item.get("bbox"), item.get("iscrowd")
    if type(image) not in (int, str) or image not in images:
        return f"its image_id must be the id of an image, but is {short(image)}"
    if type(category) not in (int, str) or category not in categories:
        return f"its category_id must be the id of a category, but is {short(category)}"
    if not isinstance(box, list) or len(box) != 4 or not NUMBERS.issuperset(map(type, box)):
        return f"its bbox must be [x, y, width, height], but is {short(box)}"
    if max(map(abs, box)) >= MOST:  # NaN is found later
        return f"its bbox must be made of finite numbers, but is {short(box)}"
    if crowd not in (None, 0, 1):
        return f"its iscrowd must be 0 or 1, but is {short(crowd)}"
    return ""


def _describe_ids(document: Document) -> tuple[str, ...]:
    ids = [item["id"] for item in document.annotations if _has_id(item)]
    repeated = len(ids) - len(set(ids))
    if not repeated:
        return ()
    return (f"{count(repeated, 'annotation')} of {document.name} with the id of another: all are used",)

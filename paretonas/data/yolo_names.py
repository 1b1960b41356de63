"""YOLO's format without a `data.yaml`: the names of the classes stand in a text file, one a line.

Read are `classes.txt` of LabelImg (beside images and labels) and Label Studio (beside `images/` and `labels/`),
`obj.names` of CVAT's YOLO 1.1 (beside `obj_train_data/`), and `_darknet.labels` of Roboflow (in each split's folder).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from paretonas.data.box_yaml import Description, check_names
from paretonas.data.boxes import Annotated
from paretonas.data.contents import SPLITS, Contents, Parts, check_has_train, image_suffixes, name_some, suffix_of
from paretonas.data.text import read_text
from paretonas.data.yolo import annotate_images
from paretonas.errors import DataError

NAMES = {"classes.txt", "obj.names", "_darknet.labels"}
DEEPEST = 2
"""Parts of the path of such a file at most."""
_OF_CVAT = re.compile(r"obj_(\w+)_data")
UNUSED = {"obj.data"}
"""What says nothing that the folders do not."""


def find_names(contents: Contents) -> list[Parts]:
    """The files of such names, at the top or one folder below."""
    return [file for file in contents.files if file[-1].lower() in NAMES and len(file) <= DEEPEST]


def list_named(contents: Contents, files: Sequence[Parts]) -> Annotated:
    """Read the annotations; folders called so divide the images into splits.

    Args:
        contents: Of the folder that holds names, images and labels.
        files: With names of the classes; several are alike.

    Raises:
        DataError: The files are not laid out so; lines that cannot be used are told of in what is returned.
    """
    paths = [contents.path(file) for file in files]
    names = _read_names(paths[0])
    other = next((path for path in paths if _read_names(path) != names), None)
    if other is not None:
        raise DataError(f"Classes must be the same in all splits, but {paths[0]} and {other} differ. Make them alike.")
    images = [file for file in contents.files if suffix_of(file) in image_suffixes()]
    splits = _divide(contents, images)
    description = Description(paths[0], contents.root, contents.root, {}, names, has_key_points=False)
    beside = {contents.path(file) for file in contents.files if file[-1].lower() in UNUSED}
    return annotate_images(splits, description, {*paths, *beside})


def _read_names(file: Path) -> dict[int, str]:
    """By the number of the line, from 0."""
    lines = [line.strip() for line in read_text(file).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"Classes must be named, one a line, but {file} names none. Write them there.")
    return check_names(dict(enumerate(lines)), file)


def _divide(contents: Contents, images: Sequence[Parts]) -> dict[str, list[Path]]:
    """Images by split; all are of training where no folder is called like one."""
    splits: dict[str, list[Parts]] = {}
    for image in images:
        splits.setdefault(_split_of(image), []).append(image)
    outside = splits.pop("", [])
    if splits and outside:
        raise DataError(
            f"Images must lie in folders of splits, or none must, but of {contents.root} {name_some(outside)} lie in "
            f"none beside those of {', '.join(splits)}. Move them."
        )
    if splits:
        check_has_train(contents.root, splits)
    if not images:
        raise DataError(f"There must be images, but {contents.root} has none of a format that is read.")
    divided = splits or {"train": outside}
    ordered = [split for split in dict.fromkeys(SPLITS.values()) if split in divided]
    return {split: [contents.path(file) for file in divided[split]] for split in ordered}


def _split_of(image: Parts) -> str:
    named = (_OF_CVAT.sub(r"\1", folder.lower()) for folder in reversed(image[:-1]))
    return next((SPLITS[folder] for folder in named if folder in SPLITS), "")

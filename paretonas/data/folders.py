"""Class folders: `<class>/<image>`, or `<split>/<class>/<image>`.

Folders are splits where every folder with images is called like one; otherwise all of them are classes, one called
`train` too. Nothing that could be learned from is left out in silence.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from paretonas.data.classes import unite_names
from paretonas.data.contents import (
    SPLITS,
    Contents,
    Parts,
    check_has_train,
    count,
    describe_unused,
    empty_split,
    find_unread_pictures,
    image_suffixes,
    list_unused,
    name_some,
    suffix_of,
    unknown_layout,
)
from paretonas.data.decode import Listing
from paretonas.errors import DataError


def list_folders(contents: Contents) -> Listing:
    """Find labels and splits of the images in a folder.

    Raises:
        DataError: It is not laid out so, or some of it would be left out.
    """
    images = [file for file in contents.files if suffix_of(file) in image_suffixes()]
    if not images:
        raise unknown_layout(contents.root, list_unused(contents, ()))
    splits = _find_splits(contents, images)
    depth = 3 if splits else 2  # of an image
    used = [image for image in images if len(image) == depth]
    outside = [image for image in images if len(image) < depth]
    _check_nothing_is_lost(contents, images, depth)
    for top in splits:
        if not any(image[0] == top for image in used):
            raise empty_split(contents.root / top, sum(image[0] == top for image in outside))
    if not used:
        raise unknown_layout(contents.root, list_unused(contents, (), outside))
    names, classes = _name_classes(contents, splits)
    paths = [contents.path(image) for image in used]
    return Listing(
        names=["/".join(image) for image in used],
        labels=np.searchsorted(classes, [names[image[:-1]] for image in used]).astype(np.int64),
        splits=np.array([splits.get(image[0], "train") for image in used]),
        classes=tuple(classes),
        content=_digest(contents, used),
        encoded=lambda: iter(paths),
        notes=(*_describe_like_named(contents, depth == 3), *describe_unused(contents, used, outside)),
    )


def _find_splits(contents: Contents, images: Sequence[Parts]) -> Mapping[str, str]:
    """Split by the name of its folder; none where folders are classes."""
    splits = _named_like_splits(contents)
    if {image[0] for image in images if len(image) > 1} - set(splits):
        return {}
    if splits:
        check_has_train(contents.root, splits.values())
    for split in set(splits.values()):
        tops = [top for top, named in splits.items() if named == split]
        if len(tops) > 1:
            raise DataError(
                f"Every split must have one folder, but in {contents.root} {' and '.join(tops)} are the same."
            )
    return splits


def _named_like_splits(contents: Contents) -> dict[str, str]:
    tops = (folder[0] for folder in contents.folders if len(folder) == 1)
    return {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}


def _check_nothing_is_lost(contents: Contents, images: Sequence[Parts], depth: int) -> None:
    deeper = [image for image in images if len(image) > depth]
    if deeper:
        raise DataError(
            f"Images must lie in folders <class>/<image> or <split>/<class>/<image>, but in {contents.root} "
            f"{count(len(deeper), 'image')} would be left out that lie deeper: {name_some(deeper)}. "
            + "".join(f"{note}. " for note in _describe_like_named(contents, depth == 3))
            + "Move them up or away, or give the folder that holds the classes."
        )
    in_classes = [file for file in contents.files if len(file) >= depth and suffix_of(file) not in image_suffixes()]
    unread = find_unread_pictures(contents, in_classes)
    if unread:
        raise DataError(
            f"Images must be of a format that Pillow reads and be named so, but in {contents.root} "
            f"{count(len(unread), 'file')} would be left out: {name_some(unread)}. Convert or rename them, or move "
            "them away."
        )
    lost = [file for file in contents.files if len(file) < depth and not suffix_of(file) and contents.dangles(file)]
    if lost:
        raise DataError(
            f"Links must lead somewhere, but in {contents.root} {count(len(lost), 'link')} do not, which may have been "
            f"classes: {name_some(lost)}. Mend or remove them."
        )


def _describe_like_named(contents: Contents, has_splits: bool) -> tuple[str, ...]:
    """A line if classes are called like splits."""
    like_named = [] if has_splits else list(_named_like_splits(contents))
    others = sorted({folder[:1] for folder in contents.folders if folder[0] not in like_named})
    if not like_named:
        return ()
    named = f"{', '.join(like_named)} would be, {name_some(others)} not"
    return (f"Folders are splits only if all are called so: {named}",)


def _name_classes(contents: Contents, splits: Mapping[str, str]) -> tuple[Mapping[Parts, str], list[str]]:
    """Name by class folder, and all names in order."""
    names: dict[Parts, str] = {}
    parents: list[Parts] = [(top,) for top in splits] or [()]
    for parent in parents:
        inside = [folder[-1] for folder in contents.folders if folder[:-1] == parent]
        united = unite_names(inside, contents.path(parent))
        names |= {(*parent, given): name for given, name in united.items()}
    return names, sorted(set(names.values()))


def _digest(contents: Contents, used: Sequence[Parts]) -> str:
    """Of names, sizes and times; those of a link itself where it leads nowhere."""
    statuses = (_status(contents.path(image)) for image in used)
    stamps = [("/".join(image), s.st_size, s.st_mtime_ns) for image, s in zip(used, statuses, strict=True)]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        return path.lstat()

"""Which Parquet files of a folder are a data set, and of which split each is.

A split stands in a file's name or in that of a folder around it, so that the layouts of Hugging Face are read:
`train-00000-of-00002.parquet`, `data/train-….parquet`, `train/0000.parquet`, and each of these in a folder of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paretonas.data.contents import SPLITS, Contents, Parts, check_has_train, image_suffixes, name_some, suffix_of
from paretonas.errors import DataError

SUFFIX = ".parquet"
_SPLIT = re.compile(r"(?:^|[^a-z])(train|val|test|dev(?![a-z]))")
_NUMBERED = re.compile(r"(?P<set>.*)-(?P<number>\d+)-of-(?P<total>\d+)")


@dataclass(frozen=True)
class Shard:
    """A file of a split.

    Args:
        split: "train", "val" or "test"; all "train" where no name says.
        file: Where it is.
        name: For messages.
    """

    split: str
    file: Path
    name: str


def find_shards(contents: Contents, files: Sequence[Parts]) -> list[Shard]:
    """The Parquet files of a folder with their splits.

    Args:
        contents: Of the folder.
        files: The Parquet files among them, in order.

    Raises:
        DataError: They are of several data sets, some but not all name a split, or one is missing.
    """
    _check_is_one_set(contents, files)
    _check_is_whole(contents, files)
    splits = [split_of(file) for file in files]
    if any(splits):
        _check_all_name_splits(contents, files, splits)
        check_has_train(contents.root, splits)
    return [
        Shard(split or "train", contents.path(file), "/".join(file)) for split, file in zip(splits, files, strict=True)
    ]


def shard_of(file: Path) -> Shard:
    """A file that was named itself."""
    return Shard("train", file, file.name)


def describe_rest(file: Path) -> tuple[str, ...]:
    """A line if other files belong to this one, or none."""
    numbered = _NUMBERED.match(file.name)
    if not numbered or int(numbered["total"]) <= 1:
        return ()
    return (f"{file.name} is one of {int(numbered['total']):,} files of a set; the others are not used",)


def split_of(file: Parts) -> str:
    """The split that the name of a file or of a folder around it says; empty where none does.

    >>> split_of(("annotations", "instances_val2017.json")), split_of(("valid", "labels.json")), split_of(("all.json",))
    ('val', 'val', '')
    """
    named = _SPLIT.search(file[-1].lower())
    if named:
        return SPLITS[named[1]]
    return next((SPLITS[folder.lower()] for folder in reversed(file[:-1]) if folder.lower() in SPLITS), "")


def _check_all_name_splits(contents: Contents, files: Sequence[Parts], splits: Sequence[str]) -> None:
    if not all(splits):
        raise DataError(
            f"Parquet files must be named after their splits all or none, but "
            f"{contents.path(files[splits.index('')])} is not and others are. Rename it to train*, val* or test*, or "
            "move it elsewhere."
        )


def _check_is_one_set(contents: Contents, files: Sequence[Parts]) -> None:
    sets = sorted({tuple(folder for folder in file[:-1] if folder.lower() not in SPLITS) for file in files})
    if len(sets) > 1:
        named = ", ".join("/".join(place) or "." for place in sets[:5]) + (", …" if len(sets) > 5 else "")
        raise DataError(
            f"Parquet files must be of one data set, but in {contents.root} they lie in {len(sets)} folders: {named}. "
            "Give one of these, or move the others elsewhere."
        )
    images = [file for file in contents.files if suffix_of(file) in image_suffixes()]
    places = {image[:-1] for image in images if len(image) > 1}
    if len(places) > 1:
        raise DataError(
            f"Data must be Parquet files or folders of images, but {contents.root} holds both: {name_some(files)} and "
            f"{name_some(images)}. Give one of them, or move the other elsewhere."
        )


def _check_is_whole(contents: Contents, files: Sequence[Parts]) -> None:
    """Of files that say how many they are."""
    sets: dict[Parts, dict[int, set[int]]] = {}
    for file in files:
        numbered = _NUMBERED.match(file[-1])
        if numbered:
            totals = sets.setdefault((*file[:-1], numbered["set"]), {})
            totals.setdefault(int(numbered["total"]), set()).add(int(numbered["number"]))
    for name, totals in sets.items():
        total = max(totals)
        missing = total - len(totals[total])
        if len(totals) > 1 or missing:
            found = sum(map(len, totals.values()))
            raise DataError(
                f"All files of a set must be there once, but of {'/'.join(name)}-…-of-{total:05} in {contents.root} "
                f"{found:,} of {total:,} are. Add the missing and remove those of other sets; to use what is there, "
                "give one file, or rename them all (train-a.parquet)."
            )

"""The `data.yaml` of YOLO's format: names of the classes, and where the images of each split lie.

YAML can name objects to be made; none ever is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretonas.data.boxes import name_few, short
from paretonas.data.classes import unite_names
from paretonas.data.contents import SPLITS, check_has_train
from paretonas.data.text import read_text
from paretonas.errors import DataError, MissingPackageError

LARGEST = 2**20
"""Bytes; its reader is slow."""
MOST = 2**31
"""Above the number of any class."""
MOST_DIGITS = 11
MOST_SAID = 300
"""Characters of what its reader says."""


@dataclass(frozen=True, eq=False)
class Description:
    """What a `data.yaml` says.

    Args:
        file: It.
        home: What names in messages are relative to.
        root: What places are relative to: its folder, or the `path` that it names.
        splits: Places of images by split: folders, or lists of images.
        names: Of the classes, by their numbers, in their order.
        has_key_points: Whether key points follow the box in a line.
    """

    file: Path
    home: Path
    root: Path
    splits: Mapping[str, Sequence[str]]
    names: Mapping[int, str]
    has_key_points: bool


def read_description(file: Path) -> Description:
    """Read a `data.yaml`.

    Raises:
        DataError: It is none.
        MissingPackageError: PyYAML is absent.
    """
    given = _read(file)
    names = _read_names(given, file)
    splits = _read_splits(given, file)
    root = given.get("path") or "."
    if not isinstance(root, str):
        raise DataError(f"`path` must be a folder's name, but in {file} it is {short(root)}. Correct it.")
    there = file.parent / root.replace("\\", "/")
    return Description(file, file.parent, there if there.is_dir() else file.parent, splits, names, "kpt_shape" in given)


def _read(file: Path) -> dict[Any, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingPackageError("pyyaml", f"Reading {file.name}") from error
    if file.stat().st_size > LARGEST:
        raise DataError(
            f"A description must be of {LARGEST:,} bytes at most, but {file} is larger. Is it another file?"
        )
    try:
        given = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:MOST_SAID]
        raise DataError(f"{file} must be YAML without objects to be made, but is not: {why}. Correct it.") from error
    if not isinstance(given, dict):
        raise DataError(
            f"{file} must be YAML with `train` and `names`, but is {short(given)}. Give the `data.yaml` of the data."
        )
    return given


def _read_names(given: Mapping[Any, Any], file: Path) -> dict[int, str]:
    """By number, in the order of the numbers."""
    names = given.get("names")
    named = dict(enumerate(names)) if isinstance(names, list) else _by_number(names)
    if not isinstance(named, dict) or not named or not all(map(_is_number, named)):
        raise DataError(
            f"`names` must name the classes, as a list or by their numbers, but in {file} it is {short(names)}. "
            "Correct it."
        )
    texts = {number: str(name) if _is_number(name) else name for number, name in sorted(named.items())}
    if given.get("nc", len(texts)) != len(texts):
        raise DataError(
            f"`nc` must be how many classes there are, but in {file} it is {short(given['nc'])}, and {len(texts)} are "
            "named. Correct one of them."
        )
    return check_names(texts, file)


def check_names(texts: Mapping[int, object], file: Path) -> dict[int, str]:
    """Names of classes by their numbers, in Unicode's composed form.

    Raises:
        DataError: One is no text, or two are the same.
    """
    for number, name in texts.items():
        if not isinstance(name, str) or not name.strip():
            raise DataError(
                f"The name of a class must be text, but in {file} that of {number} is {short(name)}. Quote it."
            )
    names = [str(name) for name in texts.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"Classes must have names of their own, but {file} names several {name_few(twice)}. Rename one."
        )
    united = unite_names(names, file)
    return {number: united[name] for number, name in zip(texts, names, strict=True)}


def _by_number(names: object) -> object:
    """With numbers for keys where they are quoted, as JSON has them."""
    if not isinstance(names, dict):
        return names
    numbered = {int(key) if _is_quoted(key) else key: name for key, name in names.items()}
    return numbered if len(numbered) == len(names) else names


def _is_quoted(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < MOST_DIGITS


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST


def _read_splits(given: Mapping[Any, Any], file: Path) -> dict[str, list[str]]:
    """Places by split, in the order of the file."""
    splits: dict[str, list[str]] = {}
    for key, value in given.items():
        split = SPLITS.get(key.lower()) if isinstance(key, str) else None
        if split is None or value in (None, "", []):
            continue
        places = value if isinstance(value, list) else [value]
        if not all(isinstance(place, str) and place for place in places):
            raise DataError(
                f"`{key}` must be a folder, a list of images or several of these, but in {file} it is {short(value)}. "
                "Correct it."
            )
        if split in splits:
            raise DataError(f"Every split must be named once, but {file} names {split} twice. Remove one.")
        splits[split] = places
    check_has_train(file, splits)
    return splits

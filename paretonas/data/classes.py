"""Names of classes: in one Unicode form, from a file beside the data, or from what Hugging Face writes into Parquet."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.errors import DataError


def unite_names(names: Iterable[str], place: object) -> dict[str, str]:
    """By name, the name in Unicode's composed form (NFC), so that what looks alike is one class in all splits.

    Args:
        names: Different ones, of one split.
        place: Where they are, for messages.

    Raises:
        DataError: Two differ in their form only, or one is no text.
    """
    united: dict[str, str] = {}
    given: dict[str, str] = {}
    for name in names:
        if not _is_text(name):
            raise DataError(f"Names of classes must be UTF-8, but {place} has {name!a}. Rename it.")
        united[name] = unicodedata.normalize("NFC", name)
        other = given.setdefault(united[name], name)
        if other != name:
            raise DataError(
                f"Classes must have names that differ to the eye, but in {place} {other!a} and {name!a} are "
                f"both {united[name]!r}. Make them one, or rename one."
            )
    return united


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:  # bytes of another encoding in a file's name
        return False


def index_labels(
    labels: np.ndarray, declared: Mapping[int, str] | None, place: object
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes that occur, and the labels as (n,) int64 indices into them.

    Args:
        labels: (n,) int64, or objects of type str.
        declared: Names by label. None: labels name themselves.
        place: Where names are declared, for messages.

    Raises:
        DataError: A label has no name.
    """
    values, indices = np.unique(labels, return_inverse=True)
    if declared is None:
        return tuple(map(str, values)), indices.astype(np.int64)
    index = {name: label for label, name in declared.items()} if labels.dtype == object else {i: i for i in declared}
    unknown = [value for value in values.tolist() if value not in index]
    if unknown:
        raise DataError(
            f"Labels must be among the {len(declared)} classes of {place}, but {unknown[:20]} are not. Correct it, or "
            "remove these images."
        )
    found = [index[value] for value in values.tolist()]
    order = np.argsort(found)
    return tuple(declared[found[i]] for i in order), np.argsort(order)[indices].astype(np.int64)


def read_classes(file: Path) -> dict[int, str]:
    """Names by label from JSON: a list, `{"0": name, …}`, `{name: 0, …}`, or an object whose `classes` is one of these.

    Raises:
        DataError: It is none of these, or two labels share a name.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8-sig"))
        names = _names_by_label(given.get("classes", given) if isinstance(given, dict) else given, file)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} must be JSON that names the classes, but is not: {error}. Correct it.") from error
    if not names:
        raise DataError(
            f'{file} must name the classes by different strings, as ["cat", "dog"], {{"0": "cat", "1": "dog"}} or '
            f'{{"cat": 0, "dog": 1}}, but does not. Correct it.'
        )
    return names


def declared_by_hugging_face(file: Path, metadata: Mapping[bytes, bytes] | None, column: str) -> dict[int, str] | None:
    """Names by label from a Parquet schema's metadata, where the column is a `ClassLabel`."""
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        names = _names_by_label(feature["names"], file) if feature["_type"] == "ClassLabel" else {}
    except (KeyError, TypeError, ValueError, RecursionError):  # there is none, or it is not what they write
        return None
    return names or None


def _names_by_label(given: Any, place: object) -> dict[int, str]:
    """Empty where it is none of the three, or where two labels or two names are the same."""
    if isinstance(given, list):
        pairs = list(enumerate(given))
    elif isinstance(given, dict) and all(type(label) is int for label in given.values()):
        pairs = [(label, name) for name, label in given.items()]
    elif isinstance(given, dict) and all(label.isdecimal() for label in given):
        pairs = [(int(label), name) for label, name in given.items()]
    else:
        return {}
    if not all(isinstance(name, str) for _, name in pairs):
        return {}
    united = unite_names(dict.fromkeys(name for _, name in pairs), place)
    names = {label: united[name] for label, name in pairs}
    return names if len(set(names.values())) == len(pairs) else {}

"""Torchvision's data sets for classification by name: `torchvision:NAME@ROOT`. Nothing is downloaded or unpickled."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.errors import DataError
from paretonas.training.images import TORCHVISION, Encoded, Listing
from paretonas.training.torchvision_table import DATA_SETS, UNPICKLED, TorchvisionData, by_loader

Items = Sequence[tuple[Encoded, int]]


def list_torchvision(text: str) -> Listing:
    """The images of `torchvision:NAME@ROOT`, for example `torchvision:FashionMNIST@data/fashion`.

    Raises:
        DataError: Not of that form, another data set, a missing file, or one that torchvision cannot read.
    """
    name, at, place = text.removeprefix(TORCHVISION).partition("@")
    if not at or not place:
        raise DataError(f"A data set of torchvision's is written torchvision:NAME@ROOT, but got {text!r}.")
    data, root = _find(name), Path(place).expanduser().absolute()
    _check_files(name, data, root)
    with _errors_of(name, root):
        stamps = _stamps(data, root)
        readers = {split: _open(name, data, split, root) for split in data.splits}
        items = {split: _items(data, reader) for split, reader in readers.items()}
        labels = [label for part in items.values() for _, label in part]
        classes = _classes(list(readers.values()), labels)
    _check_labels(name, root, labels, len(classes))
    sizes = [len(part) for part in items.values()]
    return Listing(
        names=[_name(name, split, i, part, root) for split, part in items.items() for i in range(len(part))],
        labels=np.array(labels, dtype=np.int64),
        splits=np.repeat(list(items), sizes),
        classes=classes,
        content=hashlib.sha256(json.dumps([name, *stamps]).encode()).hexdigest(),
        encoded=lambda: _encoded(name, root, items.values()),
        flip=data.flip,
    )


class _InMemory(Sequence[tuple[Encoded, int]]):
    """Pixels that a reader holds, as images and labels."""

    def __init__(self, reader: Any):
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: Any) -> Any:
        if index >= len(self):
            raise IndexError(index)
        return self._reader[index]


def _find(name: str) -> TorchvisionData:
    if name in UNPICKLED:
        raise DataError(
            f"Nothing may be unpickled, because that can run any code that a file holds, but torchvision unpickles the "
            f"files of {name}. Give the images as Parquet (columns image, label) or as folders <class>/<image>."
        )
    if name not in DATA_SETS:
        lower = {known.lower(): known for known in (*DATA_SETS, *UNPICKLED)}
        near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
        hint = f" Did you mean {lower[near[0]]!r}?" if near else ""
        raise DataError(f"No data set of torchvision's is called {name!r}.{hint} Known: {', '.join(DATA_SETS)}.")
    return DATA_SETS[name]


def _check_files(name: str, data: TorchvisionData, root: Path) -> None:
    missing = [file for file in data.needs if not (root / file).exists()]
    if missing:
        raise DataError(
            f"torchvision's {name} must lie under {root} as {', '.join(data.needs)}, but there is no "
            f"{', '.join(missing)}. Nothing is downloaded; torchvision.datasets.{data.reader or name} says where to "
            "get it."
        )
    cached = sorted(path.name for path in (root / data.cache).glob("*")) if data.cache else []
    if cached:
        raise DataError(
            f"Nothing may be unpickled, but torchvision would unpickle {', '.join(cached)} in {root}/{data.cache}. "
            "Delete that folder; the files in `raw` hold the same."
        )


def _open(name: str, data: TorchvisionData, split: str, root: Path) -> Any:
    from torchvision import datasets

    reader = getattr(datasets, data.reader or name)
    arguments = {**(data.options or {}), **data.splits[split]}
    if data.files is by_loader:
        arguments["loader"] = Path
    if name != "FER2013":  # the one without the argument
        arguments["download"] = False
    return reader(str(root), **arguments)


def _items(data: TorchvisionData, reader: Any) -> Items:
    if data.files is None:
        return _InMemory(reader)
    return sorted((Path(path), int(label)) for path, label in data.files(reader))


def _encoded(name: str, root: Path, parts: Iterable[Items]) -> Iterator[Encoded]:
    with _errors_of(name, root):
        for part in parts:
            for image, _ in part:
                yield image


def _classes(readers: Sequence[Any], labels: Sequence[object]) -> tuple[str, ...]:
    """Names of the classes, which all splits share; numbers where torchvision has no names."""
    found = {tuple(map(_class_name, names)) for reader in readers if (names := _names(reader)) is not None}
    if len(found) > 1:
        raise ValueError("its splits have different classes")
    whole = [label for label in labels if isinstance(label, int)]
    return found.pop() if found else tuple(map(str, range(max(whole, default=-1) + 1)))


def _names(reader: Any) -> Sequence[Any] | None:
    names: Sequence[Any] | None = getattr(reader, "classes", getattr(reader, "categories", None))
    return names


def _class_name(name: object) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple | list) else str(name)


def _check_labels(name: str, root: Path, labels: Sequence[object], classes: int) -> None:
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < classes:
            raise DataError(
                f"A label of torchvision's {name} must be one of {classes} classes, but under {root} one is {label!r}. "
                "Fetch the data again, with labels."
            )


def _name(name: str, split: str, index: int, part: Items, root: Path) -> str:
    if isinstance(part, _InMemory):
        return f"{name} {split} {index}"
    return Path(str(part[index][0])).relative_to(root).as_posix()


def _stamps(data: TorchvisionData, root: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of all files of the data set."""
    stamps = []
    for place in (root / file for file in data.needs):
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            stat = path.stat()
            if not path.is_dir():
                stamps.append((path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    return stamps


@contextmanager
def _errors_of(name: str, root: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # readers raise whatever their parsers stumbled over
        raise DataError(
            f"torchvision's {name} under {root} must be as it was published, but reading it failed: "
            f"{type(error).__name__}: {error}"
        ) from error

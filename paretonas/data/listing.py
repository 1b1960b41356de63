"""Where the images of a data set lie: labels, classes and named splits of whatever a user names.

Nothing is decoded here, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from paretonas.data.decode import Listing
from paretonas.errors import DataError

EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
BATCH = 512

DIGITS = "digits"
"""Name of the built-in data set; it wins over a folder of that name."""


def list_images(path: str) -> Listing:
    """Find the images at `path`, which may be any of these.

    - `digits`: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.
    - A Parquet file, or a folder of them. Files named `train*`, `val*` or `test*` are the shards of these splits; files
      of other names are one pool. Columns: `image` (encoded bytes, or a struct with a field `bytes`, as Hugging Face
      writes it) and `label` (integer or string). A `classes.json` beside them names the classes.
    - Folders `<class>/<image>` or `<split>/<class>/<image>`, a split being `train`, `val`, `valid`, `validation` or
      `test`. Folders beside the splits and folders inside a class are ignored.

    Raises:
        DataError: Nothing of that kind is there, or its labels cannot be used.
    """
    if path == DIGITS:
        return _list_digits()
    root = Path(path).expanduser()
    if not root.exists():
        raise DataError(f"The data must exist, but {path!r} does not. The built-in set 'digits' always does.")
    try:
        if root.is_dir():
            parquet = [file for file in _visible(root) if file.suffix.lower() == ".parquet"]
            return _list_parquet(_shards(root, parquet)) if parquet else _list_tree(root)
        if root.suffix.lower() == ".parquet":
            return _list_parquet([("train", root)])
    except OSError as error:
        raise DataError(f"The data must be readable, but {path!r} is not: {error}") from error
    raise _unknown_layout(root)


def _list_digits() -> Listing:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8), from 0..16
    return Listing(
        names=[f"digit {row}" for row in range(len(pixels))],
        labels=digits.target.astype(np.int64),
        splits=np.full(len(pixels), "train"),
        classes=tuple("0123456789"),
        content=hashlib.sha256(pixels.tobytes()).hexdigest(),
        encoded=lambda: map(Image.fromarray, pixels),
        flip=False,
    )


def _list_tree(root: Path) -> Listing:
    folders = [folder for folder in _visible(root) if folder.is_dir()]
    parts = [(SPLITS[folder.name], folder) for folder in folders if folder.name in SPLITS]
    if not parts or (len(parts) < len(folders) and "train" not in dict(parts)):
        parts = [("train", root)]  # a class may well be called "test"
    _check_has_train(root, parts)
    files: list[Path] = []
    splits: list[str] = []
    for split, part in parts:
        found = [file for file in part.glob("[!.]*/[!.]*") if file.suffix.lower() in EXTENSIONS]
        if not found:
            raise _unknown_layout(root) if part == root else _empty_split(part)
        files += sorted(found)
        splits += [split] * len(found)
    classes = sorted({folder.name for _, part in parts for folder in part.glob("[!.]*") if folder.is_dir()})
    names = [file.relative_to(root).as_posix() for file in files]
    stamps = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, map(Path.stat, files), strict=True)]
    return Listing(
        names=names,
        labels=np.searchsorted(classes, [file.parent.name for file in files]).astype(np.int64),
        splits=np.array(splits),
        classes=tuple(classes),
        content=hashlib.sha256(json.dumps(stamps).encode()).hexdigest(),
        encoded=lambda: iter(files),
    )


def _list_parquet(shards: list[tuple[str, Path]]) -> Listing:
    content = hashlib.sha256()
    labels = []
    for split, file in shards:
        labels.append(_read_labels(file))
        with file.open("rb") as opened:
            content.update(f"{split} {hashlib.file_digest(opened, 'sha256').hexdigest()} ".encode())
    rows = [len(part) for part in labels]
    splits = np.repeat([split for split, _ in shards], rows)
    for split, file in shards:
        if split not in splits:
            raise _empty_split(file)
    if len({part.dtype for part in labels}) > 1:
        raise DataError(f"Labels must be all integers or all strings, but the files in {shards[0][1].parent} mix them.")
    classes, indices = _index_labels(np.concatenate(labels), shards[0][1].with_name("classes.json"))
    content.update(json.dumps(classes).encode())
    return Listing(
        names=[f"{file.name} row {row}" for (_, file), n in zip(shards, rows, strict=True) for row in range(n)],
        labels=indices,
        splits=splits,
        classes=classes,
        content=content.hexdigest(),
        encoded=lambda: (image for _, file in shards for image in _stream_images(file)),
    )


def _shards(root: Path, files: list[Path]) -> list[tuple[str, Path]]:
    """Each file with the split that its name begins with; all "train" where no name does."""
    splits = [
        next((split for split in ("train", "val", "test") if file.name.lower().startswith(split)), "") for file in files
    ]
    if not any(splits):
        return [("train", file) for file in files]
    if not all(splits):
        raise DataError(
            f"Parquet files must be named after their splits all or none, but {files[splits.index('')]} is not and "
            "others are. Rename it to train*, val* or test*, or move it elsewhere."
        )
    shards = list(zip(splits, files, strict=True))
    _check_has_train(root, shards)
    return shards


def _read_labels(file: Path) -> np.ndarray:
    """(n,) int64, or objects of type str."""
    with _parquet_errors(file), pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        if any(schema.names.count(name) != 1 for name in ("image", "label")):
            raise DataError(
                f"{file} must have one column `image` and one `label`, but has {', '.join(schema.names) or 'none'}."
            )
        kind = schema.field("image").type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise DataError(f"{file}: `image` must hold encoded bytes, plain or as a struct's `bytes`, but is {kind}.")
        labels = parquet.read(columns=["label"]).column("label")
        if pa.types.is_dictionary(labels.type):
            labels = labels.cast(labels.type.value_type)
        if labels.null_count:
            raise DataError(f"Every image must have a label, but {labels.null_count} labels in {file} are null.")
        if pa.types.is_integer(labels.type):
            return np.asarray(labels.cast(pa.int64()))
        if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
            return np.asarray(labels, dtype=object)
        raise DataError(f"{file}: `label` must hold integers or strings, but is {labels.type}.")


def _stream_images(file: Path) -> Iterator[bytes | None]:
    with _parquet_errors(file), pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH, columns=["image"]):
            column = batch.column(0)
            yield from (pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column).to_pylist()


@contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # also what its reader stumbled over, such as a column's name that is no UTF-8
        raise DataError(f"{file} must be a readable Parquet file, but reading it failed: {error}") from error


def _index_labels(labels: np.ndarray, classes_file: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, and the labels as (n,) int64 indices into them."""
    is_integer = labels.dtype != object
    if is_integer and labels.min() < 0:
        raise DataError(f"Labels must not be negative, but one is {labels.min()}. Remove unlabelled images.")
    if not classes_file.exists():
        values, indices = np.unique(labels, return_inverse=True)
        return tuple(map(str, values)), indices.astype(np.int64)
    classes = _read_classes(classes_file)
    index = {(label if is_integer else name): label for label, name in enumerate(classes)}
    unknown = sorted(set(labels.tolist()) - set(index))
    if unknown:
        raise DataError(
            f"Labels must be among the {len(classes)} classes of {classes_file}, but {unknown[:20]} are not. "
            "Correct or remove that file."
        )
    return classes, np.array([index[label] for label in labels.tolist()], dtype=np.int64)


def _read_classes(file: Path) -> tuple[str, ...]:
    """Class names from a JSON list, an object `{"0": name, …}`, or an object whose entry `classes` is one of these."""
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(names, dict):
            names = names.get("classes", names)
        if isinstance(names, dict):
            names = [names[str(index)] for index in range(len(names))]
    except (ValueError, KeyError, RecursionError) as error:
        raise DataError(f"{file} must be JSON that names every class index from 0, but is not: {error!r}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise DataError(f"{file} must list the names of the classes as different strings, but does not. Correct it.")
    return tuple(names)


def _visible(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _check_has_train(root: Path, parts: list[tuple[str, Path]]) -> None:
    splits = {split for split, _ in parts}
    if "train" not in splits:
        raise DataError(f"Named splits must include train, but {root} has only {', '.join(sorted(splits))}.")


def _empty_split(place: Path) -> DataError:
    return DataError(f"A split must hold labelled images, but {place} holds none. Fill it or remove it.")


def _unknown_layout(root: Path) -> DataError:
    return DataError(
        f"The data must be 'digits', a Parquet file, a folder of Parquet files, folders <class>/<image> or "
        f"<split>/<class>/<image> ({' '.join(sorted(EXTENSIONS))}), but {root} is none of these."
    )

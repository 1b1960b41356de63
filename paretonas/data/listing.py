"""Where the images of a data set lie: labels, classes and named splits of whatever a user names.

Nothing is decoded here, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from paretonas.data.contents import Contents, describe_unused, list_contents, suffix_of, unknown_layout
from paretonas.data.decode import Listing
from paretonas.data.folders import list_folders
from paretonas.data.parquet import list_parquet
from paretonas.data.shards import SUFFIX, describe_rest, find_shards, shard_of
from paretonas.data.source import DataSource
from paretonas.errors import DataError

DIGITS = "digits"
"""Name of the built-in data set; it wins over a folder of that name."""
CLASSES = "classes.json"


def list_images(source: DataSource) -> Listing:
    """Find the images at the source's path, which may be any of these.

    - `digits`: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.
    - A Parquet file, or a folder of them: see `find_shards`. A column holds encoded images, as bytes or as a struct
      with a field `bytes`, as Hugging Face writes it; another integer or string labels. Names of integer classes are
      those of a `classes.json` beside them, or those that Hugging Face writes into the file.
    - Folders `<class>/<image>` or `<split>/<class>/<image>`: see `list_folders`.

    What was found beside is noted. Where leaving it out would change what is learned or tested, it is an error.

    Raises:
        DataError: Nothing of that kind is there, or its labels cannot be used.
    """
    if source.path == DIGITS:
        return _list_digits()
    root = Path(source.path).expanduser()
    if not root.exists():
        raise DataError(f"The data must exist, but {source.path!r} does not. The built-in set 'digits' always does.")
    try:
        if root.is_dir():
            return _list_folder(list_contents(root), source)
        if root.suffix.lower() == SUFFIX:
            return list_parquet([shard_of(root)], source, root.with_name(CLASSES), describe_rest(root))
    except OSError as error:
        raise DataError(f"The data must be readable, but {source.path!r} is not: {error}") from error
    raise unknown_layout(root)


def _list_folder(contents: Contents, source: DataSource) -> Listing:
    files = [file for file in contents.files if suffix_of(file) == SUFFIX]
    if files:
        shards = find_shards(contents, files)
        classes = next((file for file in ((CLASSES,), (*files[0][:-1], CLASSES)) if file in contents.files), (CLASSES,))
        notes = describe_unused(contents, [*files, classes])
        return list_parquet(shards, source, contents.path(classes), notes)
    if source.image_column or source.label_column:
        raise DataError(
            f"Columns are of Parquet files, but {contents.root} holds none. Leave image_column and label_column out."
        )
    return list_folders(contents)


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

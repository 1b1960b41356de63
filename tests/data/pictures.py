"""Pictures that tests can tell apart, and data sets of them."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from paretonas.data.encoded import EncodedImages
from paretonas.data.images import prepare_data
from paretonas.data.listing import list_images
from paretonas.data.source import DataSource
from paretonas.errors import DataError


def encode(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def coloured(number, size=(16, 16)):
    """An image that its first pixel identifies: (number // 256, number % 256, 200)."""
    return Image.new("RGB", size, (number // 256, number % 256, 200))


def identities(split):
    """The numbers of coloured images."""
    return [int(image[0, 0, 0]) * 256 + int(image[1, 0, 0]) for image in split.images]


def write_parquet(file, labels, first=0, encoded=None):
    """Images numbered from `first`, or those that are encoded."""
    if encoded is None:
        encoded = [encode(coloured(first + row)) for row in range(len(labels))]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": encoded, "label": labels}), file)


def write_tree(root, counts, first=0):
    """`counts[class]` images a class, numbered from `first`."""
    for name, count in counts.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(first, first + count):
            coloured(number).save(folder / f"{number}.png")
        first += count


def prepare(path, cache, **asked):
    """The prepared data; what is asked for are fields of `DataSource`."""
    return prepare_data(DataSource(str(path), **asked), cache)


def fails(path, cache, match, **asked):
    """Whether data cannot be used, for this reason."""
    with pytest.raises(DataError, match=match):
        prepare(path, cache, **asked)


def find(path, **asked):
    """What is listed of data, none of it decoded."""
    return list_images(DataSource(str(path), **asked))


def refuses(path, match, **asked):
    """Whether data cannot be listed, for this reason."""
    with pytest.raises(DataError, match=match):
        find(path, **asked)


def noise(number, size=(40, 30)):
    """The bytes of an image of noise, another one for each number."""
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encode(Image.fromarray(values))


def pixels_of(split):
    """(n, C, R, R), wherever the images are."""
    if isinstance(split.images, EncodedImages):
        return np.stack([split.images.pixels(i) for i in range(len(split))])
    return split.images

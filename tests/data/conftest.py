import numpy as np
import pytest
from pictures import noise, write_tree

from paretonas.data.encoded import EncodedImages


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """A hundred images in three classes; their numbers rise with the class."""
    root = tmp_path / "tree"
    write_tree(root, {"cat": 60, "dog": 30, "eel": 10})
    return root


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Twelve images of noise, 40 x 30 pixels, to be seen at 16 x 16."""
    file = tmp_path_factory.mktemp("encoded") / "encoded.bin"
    contents = [noise(number) for number in range(12)]
    file.write_bytes(b"".join(contents))
    sizes = np.array([len(content) for content in contents])
    return EncodedImages(file, np.stack([np.cumsum(sizes) - sizes, sizes], axis=1), channels=3, resolution=16)


@pytest.fixture
def noisy_tree(tmp_path):
    """Sixty images of noise in two classes."""
    for number in range(60):
        folder = tmp_path / "tree" / ("cat" if number < 40 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(noise(number, (16, 16 + number % 3)))
    return tmp_path / "tree"

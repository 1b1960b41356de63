import numpy as np
import pytest
from PIL import Image

from paretonas.task.prepared import CACHE


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder for prepared images where no other was said."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """Forty images of noise in two classes, 12 x 12 pixels."""
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "tree" / ("cat" if number < 24 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "tree"

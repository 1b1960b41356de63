"""The guide's inference code, which needs nothing of ours, feeds a network what `encode` feeds it."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torch import nn

from paretonas.export.onnx import export_directly
from paretonas.export.onnx.metadata import write_metadata
from paretonas.space import Interface
from paretonas.task.decode import encode
from paretonas.task.metadata import ImageClasses

pytest.importorskip("cv2")

PAGE = Path(__file__).parents[2] / "docs/guide/training-and-export.md"
LEVEL = 1 / 255 / 0.25
"""One grey level, as the network sees it."""
SIZES = [(640, 427), (300, 451), (97, 64), (64, 64), (33, 80), (20, 17), (1000, 70)]


@pytest.fixture(params=[(3, 64), (3, 33), (1, 8)], ids=str)
def guide(request, tmp_path, monkeypatch):
    """The functions of the page, for a file of that many channels and pixels; and `encode` for the same file."""
    channels, side = request.param
    interface = Interface.of_images(channels, side, channels)
    metadata = ImageClasses.of(tuple("abc")[:channels], channels, (0.5, 0.25)).to_json()
    export_directly(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), interface, tmp_path / "model.onnx")
    write_metadata(tmp_path / "model.onnx", metadata)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[-2:]
    names = {}
    exec("\n".join(block.partition("\n\nfor size in")[0] for block in blocks), names)
    return {**names, "encode": lambda file: encode(Path(file), metadata, interface)[0]}


def assert_fed_alike(guide, file, levels=1, share=0.3):
    """Pillow exactly; OpenCV but for so many grey levels in that share of the pixels."""
    ours = guide["encode"](file)
    np.testing.assert_array_equal(guide["with_pillow"](file), ours)
    found = guide["with_opencv"](file)
    assert (found.dtype, found.shape) == (ours.dtype, ours.shape)
    apart = np.rint(np.abs(found - ours) / LEVEL)
    assert apart.max() <= levels
    assert (apart > 0).mean() <= share
    assert guide["classify"](found) == guide["classify"](ours)


@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_are_fed_alike(guide, size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save("noise.png")
    assert_fed_alike(guide, "noise.png", levels=2 if guide["channels"] == 1 else 1)


def test_turned_and_transparent_images_are_fed_alike(guide):
    noise = np.random.default_rng(0).integers(0, 256, (40, 70, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise[..., :3]).save("turned.jpg", exif=exif, quality=95)
    assert_fed_alike(guide, "turned.jpg")
    Image.fromarray(noise).save("transparent.png")
    np.testing.assert_array_equal(guide["with_pillow"]("transparent.png"), guide["encode"]("transparent.png"))


def test_photographs_are_fed_alike(guide, real_data):
    rows = pq.read_table(real_data / "imagenette224_5k" / "val.parquet", columns=["image"]).slice(0, 10)
    for row in rows.column("image").to_pylist():
        Path("photo.jpg").write_bytes(row["bytes"] if isinstance(row, dict) else row)
        with Image.open(BytesIO(Path("photo.jpg").read_bytes())) as photo:
            assert min(photo.size) > 100
        assert_fed_alike(guide, "photo.jpg", share=0.05)

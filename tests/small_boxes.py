"""Small data sets: with boxes, in COCO's format, and images by class, that a backbone may learn before."""

import json

import numpy as np
from PIL import Image


def write_squares(folder, images):
    """So many images of 64 pixels with a light square each."""
    rng, entries, annotations = np.random.default_rng(0), [], []
    (folder / "images").mkdir()
    for i in range(images):
        pixels = rng.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        x, y = map(int, rng.integers(0, 40, 2))
        pixels[y : y + 20, x : x + 20] = 220
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        entries.append({"id": i, "file_name": f"{i}.png", "width": 64, "height": 64})
        annotations.append({"id": i, "image_id": i, "bbox": [x, y, 20, 20], "category_id": 1, "iscrowd": 0})
    plain = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
    (folder / "train.json").write_text(json.dumps(plain))
    return folder


def write_shades(folder, images):
    """So many images of 32 pixels of each of two classes, dark ones and light ones, in colour."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir()
        for i in range(images):
            pixels = rng.integers(level - 50, level + 50, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder

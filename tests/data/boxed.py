"""Small data sets with boxes, in each of the formats, written by code."""

import json
import zipfile

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from paretonas.data.box_images import BoxSource, prepare_boxes
from paretonas.data.box_listing import list_boxes
from paretonas.errors import DataError

SIZE = (40, 30)
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6


def picture(number, size=SIZE, kind="JPEG", **options):
    """The bytes of an image of noise, another one for each number."""
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encode(Image.fromarray(values), kind, **options)


def document(n=4, **changed):
    """COCO's format: n images of a cat at [4, 5, 10, 12], every second with a dog at [20, 10, 8, 6]."""
    images = [{"id": i, "file_name": f"{i}.jpg", "width": SIZE[0], "height": SIZE[1]} for i in range(n)]
    annotations = [annotation(i, i) for i in range(n)]
    annotations += [annotation(n + i, i, category_id=7, bbox=[20, 10, 8, 6]) for i in range(0, n, 2)]
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changed


def annotation(number, image, **changed):
    return {"id": number, "image_id": image, "category_id": 3, "bbox": [4, 5, 10, 12], "iscrowd": 0} | changed


def write_coco(root, given=None, file="train.json", images="images"):
    """A JSON file, and the images that it lists."""
    given = document() if given is None else given
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(given if isinstance(given, str) else json.dumps(given))
    if not isinstance(given, str):
        for image in given["images"]:
            write(root / images / image["file_name"], picture(image["id"]))
    return root


def write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def pack(file, entries, compression=zipfile.ZIP_STORED):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def voc(*objects, size=SIZE, filename="1.jpg"):
    """An XML file of Pascal VOC's format; objects are (name, xmin, ymin, xmax, ymax) and perhaps difficult."""
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    listed = "".join(
        f"<object><name>{name}</name>"
        + (f"<difficult>{rest[0]}</difficult>" if rest else "")
        + f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2, *rest in objects
    )
    return f"<annotation><filename>{filename}</filename>{stated}{listed}</annotation>"


def write_yolo(root, lines=None, description="train: images\nnames: [cat, dog]\n", images="images", labels="labels"):
    """A `data.yaml`, images and label files; `lines` by the name of the image, None where it has no file."""
    lines = {"0": "0 0.5 0.5 0.5 0.5", "1": "1 0.25 0.5 0.25 0.4", "2": ""} if lines is None else lines
    write(root / "data.yaml", description)
    for number, (name, text) in enumerate(lines.items()):
        write(root / images / f"{name}.jpg", picture(number))
        if text is not None:
            write(root / labels / f"{name}.txt", text)
    return root


def find(path, skip_corrupt=False, **asked):
    return list_boxes(path, skip_corrupt, **asked)


def refuses(path, match, **asked):
    """Whether data cannot be listed, for this reason; the error."""
    with pytest.raises(DataError, match=match) as caught:
        find(path, **asked)
    return str(caught.value)


def prepare(path, cache, **asked):
    """The prepared data, of 64 x 64 pixels; what is asked for are fields of `BoxSource`."""
    return prepare_boxes(BoxSource(str(path), **{"resolution": 64} | asked), cache)


def prepared_in(cache):
    """Folders of prepared data; headers of images are kept beside them."""
    return [place for place in cache.iterdir() if place.is_dir()]


def boxes_by_name(listing):
    """Boxes as (class, x1, y1, x2, y2) by the last part of the image's name."""
    return {
        name.rpartition("/")[2]: [
            (listing.classes[label], *map(float, box)) for label, box in zip(labels, boxes, strict=True)
        ]
        for name, labels, boxes in zip(listing.names, listing.labels, listing.boxes, strict=True)
    }


def said(listing, words):
    """Whether one of the notes has these words."""
    return sum(words in note for note in listing.notes) == 1

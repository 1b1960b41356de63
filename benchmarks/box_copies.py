"""Small copies of a data set with boxes, in the forms in which tools write such data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from PIL import Image

SPLITS = ("train", "valid", "test")
VOC_SETS = {"train": "train", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class Picture:
    """An image and its boxes.

    Args:
        name: Of its file, without suffix.
        content: Of its file, a JPEG.
        size: Width and height.
        boxes: Number of the class, and x, y, width, height in pixels.
    """

    name: str
    content: bytes
    size: tuple[int, int]
    boxes: tuple[tuple[int, float, float, float, float], ...]


@dataclass(frozen=True)
class Pictures:
    """What copies are made of.

    Args:
        splits: Images by split.
        classes: Names of the classes.
    """

    splits: Mapping[str, Sequence[Picture]]
    classes: tuple[str, ...]


Tree = dict[str, bytes]
"""Files of a data set by their paths."""
Form = Callable[[Pictures], Tree]


def read_pictures(folder: Path, sizes: Sequence[int], side: int) -> Pictures:
    """The first images with boxes of a data set in COCO's format, made smaller.

    Args:
        folder: With `train.json` and `images.zip`.
        sizes: Images of each of `SPLITS`.
        side: Their longer side in pixels.
    """
    given = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    ids = [category["id"] for category in given["categories"]]
    boxes: dict[Any, list[tuple[int, float, float, float, float]]] = {}
    for item in given["annotations"]:
        boxes.setdefault(item["image_id"], []).append((ids.index(item["category_id"]), *item["bbox"]))
    shown = [image for image in given["images"] if image["id"] in boxes][: sum(sizes)]
    with ZipFile(folder / "images.zip") as archive:
        pictures = [_shrink(archive.read(image["file_name"]), image, boxes[image["id"]], side) for image in shown]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    parts = [pictures[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    used = sorted({label for part in parts for picture in part for label, *_ in picture.boxes})
    return Pictures(
        {split: [_renumber(one, used) for one in part] for split, part in zip(SPLITS, parts, strict=True)},
        tuple(given["categories"][label]["name"] for label in used),
    )


def _shrink(content: bytes, image: Mapping[str, Any], boxes: Iterable[Sequence[Any]], side: int) -> Picture:
    with Image.open(BytesIO(content)) as opened:
        factor = side / max(opened.size)
        size = round(opened.width * factor), round(opened.height * factor)
        found = BytesIO()
        opened.convert("RGB").resize(size).save(found, "JPEG")
    scaled = tuple((label, *(round(factor * value, 2) for value in box)) for label, *box in boxes)
    return Picture(Path(image["file_name"]).stem, found.getvalue(), size, scaled)  # type: ignore[arg-type]


def _renumber(picture: Picture, used: Sequence[int]) -> Picture:
    boxes = tuple((used.index(label), *box) for label, *box in picture.boxes)
    return Picture(picture.name, picture.content, picture.size, boxes)  # type: ignore[arg-type]


def document(pictures: Sequence[Picture], classes: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """COCO's format."""
    images, annotations = [], list[dict[str, Any]]()
    for number, picture in enumerate(pictures, 1):
        width, height = picture.size
        images.append({"id": number, "file_name": f"{prefix}{picture.name}.jpg", "width": width, "height": height})
        for label, *box in picture.boxes:
            row = {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "bbox": box}
            annotations.append(row | {"area": box[2] * box[3], "iscrowd": 0, "segmentation": []})
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def voc_file(picture: Picture, classes: Sequence[str], size: tuple[int, int] | None = None) -> bytes:
    """Pascal VOC's format; pixels count from 1."""
    width, height = size or picture.size
    objects = "".join(
        f"<object><name>{classes[label]}</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox><xmin>{x + 1:.0f}</xmin><ymin>{y + 1:.0f}</ymin>"
        f"<xmax>{x + w:.0f}</xmax><ymax>{y + h:.0f}</ymax></bndbox></object>"
        for label, x, y, w, h in picture.boxes
    )
    return (
        f"<annotation><folder>images</folder><filename>{picture.name}.jpg</filename><path>C:\\{picture.name}.jpg</path>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>"
    ).encode()


def yolo_file(picture: Picture) -> bytes:
    """YOLO's format: fractions of the image."""
    width, height = picture.size
    lines = (
        f"{label} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}"
        for label, x, y, w, h in picture.boxes
    )
    return "".join(f"{line}\n" for line in lines).encode()


def to_json(value: object) -> bytes:
    """Text of a JSON file."""
    return json.dumps(value).encode()


def images_of(pictures: Sequence[Picture], folder: str) -> Tree:
    """Their files, in a folder."""
    return {f"{folder}{picture.name}.jpg": picture.content for picture in pictures}


def coco(data: Pictures) -> Tree:
    """`train.json`, `val.json` and `test.json` beside `images/`."""
    tree: Tree = {}
    for split, pictures in data.splits.items():
        tree[f"{VOC_SETS[split]}.json"] = to_json(document(pictures, data.classes))
        tree |= images_of(pictures, "images/")
    return tree


def voc(data: Pictures) -> Tree:
    """`Annotations/`, `JPEGImages/` and `ImageSets/Main/`."""
    tree: Tree = {}
    for split, pictures in data.splits.items():
        tree |= images_of(pictures, "JPEGImages/")
        tree |= {f"Annotations/{one.name}.xml": voc_file(one, data.classes) for one in pictures}
        tree[f"ImageSets/Main/{VOC_SETS[split]}.txt"] = "".join(f"{one.name}\n" for one in pictures).encode()
    return tree


def yolo(data: Pictures) -> Tree:
    """`data.yaml`, `images/train/` and so on, `labels/train/` and so on."""
    named = "".join(f"  {number}: {name}\n" for number, name in enumerate(data.classes))
    places = "".join(f"{VOC_SETS[split]}: images/{VOC_SETS[split]}\n" for split in data.splits)
    tree: Tree = {"data.yaml": f"path: .\n{places}nc: {len(data.classes)}\nnames:\n{named}".encode()}
    for split, pictures in data.splits.items():
        tree |= images_of(pictures, f"images/{VOC_SETS[split]}/")
        tree |= {f"labels/{VOC_SETS[split]}/{one.name}.txt": yolo_file(one) for one in pictures}
    return tree


def write_tree(tree: Tree, folder: Path) -> None:
    """Write the files; a link's content is where it leads, after `-> `."""
    for name, content in tree.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

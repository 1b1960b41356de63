"""Changes that damage data with boxes, and what of them is lost by each."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from box_copies import Picture, Tree, to_json, voc_file
from PIL import Image

BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "'
    + b"x" * 10_000
    + b'"><!ENTITY b "'
    + b"&a;" * 10_000
    + b'">]><annotation>&b;</annotation>'
)
ALIASES = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n, n, b", ".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("k"))
)


@dataclass(frozen=True)
class Loss:
    """What cannot be used.

    Args:
        images: So many, of those of training.
        boxes: So many, with those of the images.
        is_whole: Nothing can be used.
    """

    images: int = 0
    boxes: int = 0
    is_whole: bool = False


Change = Callable[[Tree, Picture], Loss]
"""Damages the files; the picture is the first one of training."""
NOTHING, ALL, BOX = Loss(), Loss(is_whole=True), Loss(boxes=1)


# COCO's


def in_json(change: Callable[[dict[str, Any]], None], loss: Loss) -> Change:
    """The annotations of training are changed."""

    def apply(tree: Tree, first: Picture) -> Loss:
        given = json.loads(tree["train.json"])
        change(given)
        tree["train.json"] = to_json(given)
        return loss

    return apply


def box(loss: Loss = BOX, **fields: Any) -> Change:
    """The first annotation has these fields, or lacks one that is None."""

    def change(given: dict[str, Any]) -> None:
        given["annotations"][0] |= fields
        for name in [name for name, value in fields.items() if value is None]:
            del given["annotations"][0][name]

    return in_json(change, loss)


def image(loss: Callable[[Picture], Loss], **fields: Any) -> Change:
    """The first image is listed with these fields."""

    def apply(tree: Tree, first: Picture) -> Loss:
        return in_json(lambda given: given["images"][0].update(fields), loss(first))(tree, first)

    return apply


def lost(first: Picture) -> Loss:
    """The first image, and its boxes with it."""
    return Loss(1, len(first.boxes))


def renumbered(given: dict[str, Any]) -> None:
    """Ids of categories as those of COCO, with gaps."""
    for item in given["categories"]:
        item["id"] *= 10
    for item in given["annotations"]:
        item["category_id"] *= 10


def repeat(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """The first of a list is there once more, with other fields."""
    return lambda given: given[name].append(given[name][0] | fields)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    """A list is absent."""
    return lambda given: given.pop(name) and None


def empty_image(given: dict[str, Any]) -> None:
    """The first image has no annotations."""
    given["annotations"] = [item for item in given["annotations"] if item["image_id"] != given["images"][0]["id"]]


def other_size(factor: float) -> Change:
    """Annotations state sizes of a larger copy."""

    def change(given: dict[str, Any]) -> None:
        given["images"][0]["width"] = round(factor * given["images"][0]["width"])
        given["images"][0]["height"] = round(factor * given["images"][0]["height"])
        for item in given["annotations"]:
            if item["image_id"] == given["images"][0]["id"]:
                item["bbox"] = [factor * value for value in item["bbox"]]

    return in_json(change, NOTHING)


# Files


def file(suffix: str, content: Callable[[bytes], bytes | None], loss: Callable[[Picture], Loss]) -> Change:
    """The file of the first image with this suffix is changed, or gone."""

    def apply(tree: Tree, first: Picture) -> Loss:
        (name,) = (name for name in tree if name.rpartition("/")[2] == f"{first.name}{suffix}")
        changed = content(tree.pop(name))
        if changed is not None:
            tree[name] = changed
        return loss(first)

    return apply


def whole(name: str, content: Callable[[bytes], bytes]) -> Change:
    """A file without which nothing can be used."""

    def apply(tree: Tree, first: Picture) -> Loss:
        tree[name] = content(tree[name])
        return ALL

    return apply


def file_named(name: str, content: Callable[[bytes], bytes]) -> Change:
    """A file that says more, and does no harm."""
    return lambda tree, first: (tree.update({name: content(tree[name])}), NOTHING)[1]


def turned(content: bytes) -> bytes:
    """Stored sideways; EXIF data tell how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(BytesIO(content)) as opened:
        found = BytesIO()
        opened.transpose(Image.Transpose.ROTATE_90).save(found, "JPEG", exif=exif)
    return found.getvalue()


def huge(content: bytes) -> bytes:
    """A PNG file of a few bytes that claims to be of 60,000 x 60,000 pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def packed(change: Callable[[dict[str, bytes]], Loss], spoil: Callable[[bytes], bytes] = lambda content: content):
    """The images lie in an archive, whose entries, or bytes, are changed."""

    def apply(tree: Tree, first: Picture) -> Loss:
        entries = {name: tree.pop(name) for name in list(tree) if name.startswith("images/")}
        loss, buffer = change(entries), BytesIO()
        with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        tree["images.zip"] = spoil(buffer.getvalue())
        return Loss(1, len(first.boxes)) if loss.images else loss

    return apply


def add(name: str, content: bytes, loss: Loss) -> Callable[[dict[str, bytes]], Loss]:
    """Entries and one more."""
    return lambda entries: (entries.update({name: content}), loss)[1]


def spoil_first(entries: dict[str, bytes]) -> Loss:
    """The first image is no image."""
    entries[next(iter(entries))] = b"no image"
    return Loss(images=1)


# YOLO's


def line(text: str, loss: Loss = BOX) -> Change:
    """The first line of the first label file is another one."""
    return file(".txt", lambda content: text.encode() + b"\n" + content.partition(b"\n")[2], lambda _: loss)


def described(old: bytes, new: bytes) -> Change:
    """`data.yaml` says something else."""
    return whole("data.yaml", lambda content: content.replace(old, new))


# Pascal VOC's


def xml(old: bytes, new: bytes, loss: Callable[[Picture], Loss]) -> Change:
    """The first annotation file says something else, where it says this for the first time."""
    return file(".xml", lambda content: content.replace(old, new, 1), loss)


def without_element(name: str, loss: Callable[[Picture], Loss]) -> Change:
    """The first element of a name is absent."""
    pattern = re.compile(rf"<{name}>.*?</{name}>".encode())
    return file(".xml", lambda content: pattern.sub(b"", content, count=1), loss)


def stated(size: tuple[int, int], classes: tuple[str, ...]) -> Change:
    """The first annotation file states another size."""

    def apply(tree: Tree, first: Picture) -> Loss:
        tree[f"Annotations/{first.name}.xml"] = voc_file(first, classes, size)
        return NOTHING

    return apply


def one(_: Picture) -> Loss:
    """A box."""
    return BOX


def none(_: Picture) -> Loss:
    """Nothing."""
    return NOTHING


def share(tree: Tree, first: Picture) -> Loss:
    """An image of training is listed among those of validation too."""
    train, val = json.loads(tree["train.json"]), json.loads(tree["val.json"])
    val["images"].append(train["images"][0] | {"id": 4711})
    tree["val.json"] = to_json(val)
    return Loss(images=-1)

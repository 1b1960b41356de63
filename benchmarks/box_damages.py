"""Ways in which data with boxes are damaged: as tools, editors, transfers and attackers do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from box_changes import (
    ALIASES,
    ALL,
    BOMB,
    NOTHING,
    Change,
    Loss,
    add,
    box,
    described,
    empty_image,
    file,
    file_named,
    huge,
    image,
    in_json,
    line,
    lost,
    none,
    one,
    other_size,
    packed,
    renumbered,
    repeat,
    share,
    spoil_first,
    stated,
    turned,
    whole,
    without,
    without_element,
    xml,
)
from box_copies import Form, Pictures, Tree, coco, voc, yolo


@dataclass(frozen=True)
class Damage:
    """One damaged copy.

    Args:
        form: Of the data.
        what: Is damaged.
        change: Damages them.
    """

    form: Form
    what: str
    change: Change

    def apply(self, data: Pictures) -> tuple[Tree, Loss]:
        """The damaged files."""
        tree = self.form(data)
        loss = self.change(tree, data.splits["train"][0])
        return tree, loss


def damages(data: Pictures) -> Iterator[Damage]:
    """All of them."""
    first, of_coco, of_yolo, of_voc = (
        data.splits["train"][0], partial(Damage, coco), partial(Damage, yolo), partial(Damage, voc),
    )  # fmt: skip
    width, height = first.size
    label, x, y, w, h = first.boxes[0]
    yield of_coco("a box outside of the image", box(bbox=[width + 5, 5, 20, 20]))
    yield of_coco("a box that reaches out of it", box(NOTHING, bbox=[x, y, width, height]))
    yield of_coco("a box without width", box(bbox=[x, y, 0, h]))
    yield of_coco("a box of negative height", box(bbox=[x, y + h, w, -h]))
    yield of_coco("NaN in a box", box(bbox=[math.nan, y, w, h]))
    yield of_coco("a box of three numbers", box(bbox=[x, y, w]))
    yield of_coco("a number of a box as text", box(bbox=[str(x), y, w, h]))
    yield of_coco("a crowd", box(NOTHING, iscrowd=1))
    yield of_coco("iscrowd absent", box(NOTHING, iscrowd=None))
    yield of_coco("an unknown category", box(category_id=77))
    yield of_coco("ids of categories with gaps", in_json(renumbered, NOTHING))
    yield of_coco("two images of one id", in_json(repeat("images", file_name="other.jpg"), ALL))
    yield of_coco("an image listed with two ids", in_json(repeat("images", id=999), ALL))
    yield of_coco("two annotations of one id", in_json(repeat("annotations", bbox=[1, 1, 9, 9]), Loss(boxes=-1)))
    yield of_coco("a box that is there twice", in_json(repeat("annotations", id=9999), NOTHING))
    yield of_coco("two categories of one name", in_json(repeat("categories", id=9), NOTHING))
    yield of_coco("an annotation of an unknown image", box(image_id=4711))
    yield of_coco("an annotation without image_id", box(image_id=None))
    yield of_coco("an image without boxes", in_json(empty_image, Loss(boxes=len(first.boxes))))
    yield of_coco("a size that is not the file's", image(lost, width=height, height=width + 40))
    yield of_coco("a size of 0", image(lost, width=0))
    yield of_coco("sizes and boxes of a copy twice as large", other_size(2.0))
    yield of_coco("a missing image", file(".jpg", lambda content: None, lost))
    yield of_coco("an image cut off", file(".jpg", lambda content: content[: len(content) // 2], lost))
    yield of_coco("an image that is none", file(".jpg", lambda content: b"<html>not found</html>", lost))
    yield of_coco("an image of no bytes", file(".jpg", lambda content: b"", lost))
    yield of_coco("an image that claims 60,000 x 60,000 pixels", file(".jpg", huge, lost))
    yield of_coco("an image turned by EXIF data", file(".jpg", turned, none))
    yield of_coco("a name that leads out of the folder", image(lost, file_name="../../secret.jpg"))
    yield of_coco("JSON cut off", whole("train.json", lambda content: content[:-200]))
    yield of_coco("an empty file", whole("train.json", lambda content: b""))
    yield of_coco("no categories", in_json(without("categories"), ALL))
    yield of_coco("no images of training", in_json(lambda given: given.update(images=[]), ALL))
    yield of_coco("no annotations of training", in_json(lambda given: given.update(annotations=[]), ALL))
    yield of_coco("an image of training among those of validation", share)
    yield of_coco("an archive with a name that leads out of it", packed(add("../../evil.jpg", b"x", ALL)))
    yield of_coco("an archive cut off", packed(lambda _: ALL, lambda content: content[:-100]))
    yield of_coco("an entry of an archive that is no image", packed(spoil_first))
    yield of_coco("an archive with 64 MB of zeros that nobody lists", packed(add("zeros.jpg", bytes(2**26), NOTHING)))
    yield of_yolo("a class out of range", line("7 0.5 0.5 0.2 0.2"))
    yield of_yolo("a class that is no whole number", line("0.5 0.5 0.5 0.2 0.2"))
    yield of_yolo("pixels instead of fractions", line("0 250 180 90 80"))
    yield of_yolo("a box that reaches out of the image", line("0 0.95 0.5 0.2 0.2", NOTHING))
    yield of_yolo("a negative width", line("0 0.5 0.5 -0.2 0.2"))
    yield of_yolo("NaN", line("0 nan 0.5 0.2 0.2"))
    yield of_yolo("a line of four numbers", line("0 0.5 0.5 0.2"))
    yield of_yolo("a line of words", line("cell 0.5 0.5 0.2 0.2"))
    yield of_yolo("a missing label file", file(".txt", lambda _: None, lambda one: Loss(boxes=len(one.boxes))))
    yield of_yolo("a label file of bytes that are no text", file(".txt", lambda _: b"\xff\xfe\x00\xd8", lost))
    yield of_yolo("a label file without an image", file(".jpg", lambda _: None, lost))
    yield of_yolo("a python tag in data.yaml", described(b"path: .", b"path: !!python/object/apply:os.system ['ls']"))
    yield of_yolo("data.yaml that is no YAML", described(b"names:", b"names: [a, b"))
    yield of_yolo("aliases of aliases in data.yaml", file_named("data.yaml", lambda content: ALIASES + content))
    yield of_yolo("nc that is not how many names there are", described(b"nc: ", b"nc: 1"))
    yield of_yolo("no names", described(b"names:", b"labels:"))
    yield of_yolo("a folder that is not there", described(b"images/train", b"images/training"))
    yield of_voc("an entity bomb", file(".xml", lambda _: BOMB, lost))
    yield of_voc("XML cut off", file(".xml", lambda content: content[:-50], lost))
    yield of_voc("XML without a size", without_element("size", none))
    yield of_voc("a negative width", xml(b"<width>", b"<width>-", lost))
    yield of_voc("a size of 0 x 0", stated((0, 0), data.classes))
    yield of_voc("an object without a box", without_element("bndbox", one))
    yield of_voc("an object without a name", xml(f"<name>{data.classes[label]}</name>".encode(), b"<name/>", one))
    yield of_voc("edges exchanged", xml(f"<xmin>{x + 1:.0f}<".encode(), f"<xmin>{x + w + 9:.0f}<".encode(), one))
    yield of_voc("an edge that is no number", xml(f"<xmin>{x + 1:.0f}<".encode(), b"<xmin>left<", one))
    yield of_voc("a difficult object", xml(b"<difficult>0", b"<difficult>1", none))
    yield of_voc("no annotation file", file(".xml", lambda _: None, lost))
    yield of_voc("a missing image", file(".jpg", lambda _: None, lost))
    yield of_voc("a list that names its images twice", whole("ImageSets/Main/train.txt", lambda t: t + t))
    yield of_voc("no list of training images", whole("ImageSets/Main/train.txt", lambda _: b""))

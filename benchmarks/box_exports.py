"""A data set with boxes as tools for annotation export it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

from box_copies import (
    Form,
    Picture,
    Pictures,
    Tree,
    document,
    images_of,
    to_json,
    voc_file,
    yolo_file,
)

README = {"README.dataset.txt": b"# cells", "README.roboflow.txt": b"exported"}


def everything(data: Pictures) -> list[Picture]:
    """The images of all splits."""
    return [picture for pictures in data.splits.values() for picture in pictures]


def names(data: Pictures) -> bytes:
    """One class a line."""
    return "".join(f"{name}\n" for name in data.classes).encode()


def roboflow_coco(data: Pictures) -> Tree:
    """`train/_annotations.coco.json` with a category for the whole, from 0."""
    tree: Tree = dict(README)
    for split, pictures in data.splits.items():
        given = document(pictures, data.classes)
        given["categories"].insert(0, {"id": 0, "name": "cells", "supercategory": "none"})
        tree |= {f"{split}/_annotations.coco.json": to_json(given)} | images_of(pictures, f"{split}/")
    return tree


def roboflow_voc(data: Pictures) -> Tree:
    """XML beside the images, in a folder for each split."""
    tree: Tree = dict(README)
    for split, pictures in data.splits.items():
        tree |= images_of(pictures, f"{split}/")
        tree |= {f"{split}/{one.name}.xml": voc_file(one, data.classes) for one in pictures}
    return tree


def roboflow_yolo(data: Pictures) -> Tree:
    """`data.yaml` whose places are those of a folder that nobody has."""
    named = ", ".join(f"'{name}'" for name in data.classes)
    places = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    extra = "roboflow:\n  workspace: cells\n  version: 1\n"
    text = f"{places}\nnc: {len(data.classes)}\nnames: [{named}]\n\n{extra}"
    tree: Tree = README | {"data.yaml": text.encode()}
    for split, pictures in data.splits.items():
        tree |= images_of(pictures, f"{split}/images/")
        tree |= {f"{split}/labels/{one.name}.txt": yolo_file(one) for one in pictures}
    return tree


def roboflow_darknet(data: Pictures) -> Tree:
    """Text files beside the images and `_darknet.labels`, in a folder for each split."""
    tree: Tree = dict(README)
    for split, pictures in data.splits.items():
        tree |= images_of(pictures, f"{split}/") | {f"{split}/_darknet.labels": names(data)}
        tree |= {f"{split}/{one.name}.txt": yolo_file(one) for one in pictures}
    return tree


def cvat_coco(data: Pictures) -> Tree:
    """`annotations/instances_default.json` and `images/default/`."""
    pictures = everything(data)
    given = document(pictures, data.classes)
    return {"annotations/instances_default.json": to_json(given)} | images_of(pictures, "images/default/")


def cvat_voc(data: Pictures) -> Tree:
    """`ImageSets/Main/default.txt` and `labelmap.txt`."""
    pictures = everything(data)
    lines = "".join(f"{one.name}\n" for one in pictures).encode()
    map_ = "".join(f"{name}:::\n" for name in data.classes).encode()
    files = {f"Annotations/{one.name}.xml": voc_file(one, data.classes) for one in pictures}
    return {"ImageSets/Main/default.txt": lines, "labelmap.txt": map_} | files | images_of(pictures, "JPEGImages/")


def cvat_yolo(data: Pictures) -> Tree:
    """YOLO 1.1: `obj.data`, `obj.names`, `train.txt` and `obj_train_data/`."""
    pictures = everything(data)
    about = f"classes = {len(data.classes)}\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    lines = "".join(f"data/obj_train_data/{one.name}.jpg\n" for one in pictures)
    files = {f"obj_train_data/{one.name}.txt": yolo_file(one) for one in pictures}
    tree = {"obj.data": about.encode(), "obj.names": names(data), "train.txt": lines.encode()}
    return tree | files | images_of(pictures, "obj_train_data/")


def cvat_ultralytics(data: Pictures) -> Tree:
    """`data.yaml` that names lists of images, `images/train/` and `labels/train/`."""
    named = "".join(f"  {number}: {name}\n" for number, name in enumerate(data.classes))
    tree: Tree = {"data.yaml": f"path: .\ntrain: train.txt\nval: val.txt\nnames:\n{named}".encode()}
    for split, name in (("train", "train"), ("valid", "val")):
        pictures = data.splits[split]
        tree[f"{name}.txt"] = "".join(f"data/images/{name}/{one.name}.jpg\n" for one in pictures).encode()
        tree |= images_of(pictures, f"images/{name}/")
        tree |= {f"labels/{name}/{one.name}.txt": yolo_file(one) for one in pictures}
    return tree


def labelimg_voc(data: Pictures) -> Tree:
    """One folder of images and XML."""
    pictures = everything(data)
    return images_of(pictures, "") | {f"{one.name}.xml": voc_file(one, data.classes) for one in pictures}


def labelimg_yolo(data: Pictures) -> Tree:
    """One folder of images and text files, and `classes.txt`."""
    pictures = everything(data)
    files = {f"{one.name}.txt": yolo_file(one) for one in pictures}
    return {"classes.txt": names(data)} | files | images_of(pictures, "")


def label_studio_coco(data: Pictures) -> Tree:
    """`result.json` whose file names begin with `images/`, ids from 0."""
    pictures = everything(data)
    given = document(pictures, data.classes, "images/")
    for item in given["annotations"]:
        item |= {"category_id": item["category_id"] - 1, "image_id": item["image_id"] - 1, "ignore": 0}
    for item in (*given["images"], *given["categories"]):
        item["id"] -= 1
    return {"result.json": to_json(given)} | images_of(pictures, "images/")


def label_studio_voc(data: Pictures) -> Tree:
    """`Annotations/` and `images/`."""
    pictures = everything(data)
    files = {f"Annotations/{one.name}.xml": voc_file(one, data.classes) for one in pictures}
    return files | images_of(pictures, "images/")


def label_studio_yolo(data: Pictures) -> Tree:
    """`classes.txt`, `notes.json`, `images/` and `labels/`."""
    pictures = everything(data)
    notes = {"categories": [{"id": i, "name": name} for i, name in enumerate(data.classes)], "info": {"year": 2026}}
    files = {f"labels/{one.name}.txt": yolo_file(one) for one in pictures}
    return {"classes.txt": names(data), "notes.json": to_json(notes)} | files | images_of(pictures, "images/")


def coco_official(data: Pictures) -> Tree:
    """`annotations/instances_train2017.json` beside `train2017/`, captions beside them."""
    tree: Tree = {}
    for split, name in (("train", "train2017"), ("valid", "val2017")):
        pictures = data.splits[split]
        tree[f"annotations/instances_{name}.json"] = to_json(document(pictures, data.classes))
        tree[f"annotations/captions_{name}.json"] = to_json({"images": [], "annotations": []})
        tree |= images_of(pictures, f"{name}/")
    return tree


def coco_zipped(data: Pictures) -> Tree:
    """`train.json` and so on beside an archive of the images."""
    packed, tree = BytesIO(), dict[str, bytes]()
    with ZipFile(packed, "w") as archive:
        for split, pictures in data.splits.items():
            name = split.removesuffix("id")
            tree[f"{name}.json"] = to_json(document(pictures, data.classes))
            for one in pictures:
                archive.writestr(f"images/{one.name}.jpg", one.content)
    return tree | {"images.zip": packed.getvalue()}


def within(form: Form) -> Form:
    """The same one folder further down, as archives are unpacked."""

    def nested(data: Pictures) -> Tree:
        return {f"cells.v1/{name}": content for name, content in form(data).items()}

    nested.__doc__ = f"{form.__name__}, one folder further down."
    return nested


def upper_case(data: Pictures) -> Tree:
    """One folder of images and XML whose images are called .JPG."""
    tree = labelimg_voc(replace(data))
    return {name.replace(".jpg", ".JPG"): content for name, content in tree.items()}


EXPORTS: dict[str, Form] = {
    "COCO itself": coco_official,
    "COCO, images in an archive": coco_zipped,
    "Roboflow: COCO": roboflow_coco,
    "Roboflow: Pascal VOC": roboflow_voc,
    "Roboflow: YOLOv5 to YOLOv12": roboflow_yolo,
    "Roboflow: YOLO Darknet": roboflow_darknet,
    "Roboflow: COCO, one folder further down": within(roboflow_coco),
    "Roboflow: Pascal VOC, one folder further down": within(roboflow_voc),
    "Roboflow: YOLO, one folder further down": within(roboflow_yolo),
    "CVAT: COCO 1.0": cvat_coco,
    "CVAT: Pascal VOC 1.1": cvat_voc,
    "CVAT: YOLO 1.1": cvat_yolo,
    "CVAT: Ultralytics YOLO": cvat_ultralytics,
    "LabelImg: Pascal VOC": labelimg_voc,
    "LabelImg: Pascal VOC, .JPG": upper_case,
    "LabelImg: YOLO": labelimg_yolo,
    "Label Studio: COCO": label_studio_coco,
    "Label Studio: Pascal VOC": label_studio_voc,
    "Label Studio: YOLO": label_studio_yolo,
}
"""By the tool and what it calls the format."""

import gzip
import json

import numpy as np
import pytest

from paretonas.task.found import Found
from paretonas.task.precision import Truth, average_precision


def one(boxes=(), labels=(), ignored=None):
    n = len(boxes)
    return Truth(
        np.array(boxes, np.float32).reshape(n, 4),
        np.array(labels, np.int64),
        np.array([False] * n if ignored is None else ignored, bool),
    )


def seen(boxes=(), labels=(), scores=()):
    boxes = np.array(boxes, np.float32).reshape(len(labels), 4)
    return Found(boxes, np.array(labels, np.int64), np.array(scores, np.float32))


def corners(entries):
    return np.array([[x, y, x + w, y + h] for x, y, w, h in (e["bbox"] for e in entries)], np.float64).reshape(-1, 4)


def read(path):
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize(
    ("folder", "truth", "found", "ap", "ap50", "ap75"),
    [
        ("voc2012_100", "gt.json", "detections.json", 0.346958, 0.61003, 0.353714),
        (
            "coco_val2014_100",
            "instances_val2014_100.json.gz",
            "instances_val2014_fakebbox100_results.json.gz",
            0.504581,
            0.696973,
            0.572982,
        ),
    ],
)
def test_it_is_what_the_reference_gives(real_data, folder, truth, found, ap, ap50, ap75):
    data, results = read(real_data / folder / truth), read(real_data / folder / found)
    place = {category["id"]: i for i, category in enumerate(data["categories"])}
    truths, detections = [], []
    for image in sorted(data["images"], key=lambda image: image["id"]):  # which decides between equal scores
        own = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        labels = np.array([place[a["category_id"]] for a in own], np.int64)
        truths.append(Truth(corners(own), labels, np.array([bool(a["iscrowd"]) for a in own])))
        own = [d for d in results if d["image_id"] == image["id"]]
        labels = np.array([place[d["category_id"]] for d in own], np.int64)
        detections.append(Found(corners(own), labels, np.array([d["score"] for d in own])))
    precision = average_precision(truths, detections, len(place))
    assert (round(precision.ap, 6), round(precision.ap50, 6), round(precision.ap75, 6)) == (ap, ap50, ap75)


def test_a_class_is_as_good_as_its_boxes_overlap():
    box, half = (0, 0, 100, 100), (0, 0, 100, 64)
    truths = [one([box, box], [0, 1])]
    found = [seen([box, half], [0, 1], [0.9, 0.8])]
    precision = average_precision(truths, found, 3)
    assert precision.by_class == pytest.approx((1.0, 0.3, None), abs=1e-6)  # at overlaps of .50, .55 and .60
    assert precision.ap50_by_class == pytest.approx((1.0, 1.0, None), abs=1e-6)
    assert (precision.ap, precision.ap50, precision.ap75) == pytest.approx((0.65, 1.0, 0.5), abs=1e-6)


def test_what_is_ignored_is_neither_wanted_nor_wrong():
    box, crowd = (0, 0, 100, 100), (200, 200, 400, 400)
    truths = [one([box, crowd], [0, 0], [False, True])]
    found = [seen([crowd, box], [0, 0], [0.9, 0.8])]
    assert average_precision(truths, found, 1).ap == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("truths", "found", "by_class"),
    [
        ([one([(0, 0, 9, 9)], [1])], [seen()], (None, 0.0)),
        ([one()], [seen([(0, 0, 9, 9)], [1], [0.5])], (None, None)),
        ([one([(0, 0, 9, 9)], [0])], [seen([(0, 0, 9, 9)], [1], [0.5])], (0.0, None)),
        ([one([(0, 0, 9, 9)], [0], [True])], [seen([(0, 0, 9, 9)], [0], [0.5])], (None, None)),
    ],
)
def test_where_nothing_is_right_it_is_zero(truths, found, by_class):
    precision = average_precision(truths, found, 2)
    assert (precision.ap, precision.ap50, precision.ap75, precision.by_class) == (0, 0, 0, by_class)
    assert precision.ap50_by_class == by_class

"""What a detector's finalist tells beyond its score: classes, and images of made-up pixels."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from test_precision import seen

from paretonas.data.box_images import BoxSplit, Ragged
from paretonas.task.explaining import IMAGES, LONGEST_SIDE, MOST_BYTES, choose_images, explain, truths_of
from paretonas.task.precision import average_precision

CLASSES = ("cat", "dog")
SIDE = 512


def split_of(boxes, labels, ignored=None, size=(1024, 512), pixels=None):
    """Images of which each fills the upper half of a square."""
    n, counts = len(boxes), [len(one) for one in boxes]
    offsets = np.cumsum([0, *counts])
    ignored = ignored or [[False] * count for count in counts]
    flat = np.array([box for one in boxes for box in one], np.float32).reshape(-1, 4)
    images = np.full((n, 3, SIDE, SIDE), 114, np.uint8) if pixels is None else pixels
    return BoxSplit(
        images,
        Ragged(flat, offsets),
        Ragged(np.array([label for one in labels for label in one], np.int64), offsets),
        Ragged(np.array([is_ignored for one in ignored for is_ignored in one], bool), offsets),
        np.array([size] * n),
        [f"{i}.jpg" for i in range(n)],
    )


def told(split, found):
    precision = average_precision(truths_of(split), found, len(CLASSES))
    details, metadata = explain(split, found, precision, CLASSES)
    json.dumps([details, metadata])
    return details, metadata


BOX, OTHER = [100, 50, 200, 150], [300, 20, 400, 220]


def test_classes_have_their_numbers_and_files_the_threshold_of_all():
    split = split_of([[BOX, OTHER], [BOX]], [[0, 1], [0]])
    found = [seen([BOX, OTHER], [0, 0], [0.75, 0.25]), seen([BOX], [0], [0.5])]
    details, metadata = told(split, found)
    nothing = {"threshold": None, "precision": None, "recall": None}
    assert details["classes"] == [
        {
            "name": "cat", "boxes": 2, "ap": pytest.approx(1.0), "ap50": pytest.approx(1.0),
            "threshold": 0.5, "precision": 1.0, "recall": 1.0,
        },
        {"name": "dog", "boxes": 1, "ap": 0.0, "ap50": 0.0, **nothing},
    ]  # fmt: skip
    assert details["all"] == {"threshold": 0.5, "precision": 1.0, "recall": pytest.approx(2 / 3)}
    assert metadata == {"threshold": 0.5}


def test_an_image_is_small_and_without_padding_and_boxes_are_in_its_pixels():
    split = split_of([[BOX, OTHER]], [[0, 1]], [[False, True]])
    found = [seen([BOX, OTHER], [0, 1], [0.75, 0.25])]
    details, _ = told(split, found)
    (image,) = details["images"]
    picture = Image.open(io.BytesIO(base64.b64decode(image["jpeg"])))
    assert picture.size == (image["width"], image["height"]) == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert image["name"] == "0.jpg"
    small = [50.0, 25.0, 100.0, 75.0]
    assert image["truth"] == [{"name": "cat", "box": small}]  # what is ignored is not shown
    assert image["found"] == [{"name": "cat", "box": small, "score": 0.75}]  # nor what is below the threshold


def test_where_nothing_is_found_files_say_nothing_and_the_usual_score_counts():
    details, metadata = told(split_of([[BOX]], [[0]]), [seen([OTHER, BOX], [0, 1], [0.5, 0.2])])
    assert metadata == {}
    assert details["all"] == {"threshold": None, "precision": None, "recall": None}
    assert [mark["score"] for mark in details["images"][0]["found"]] == [0.5]


@pytest.mark.parametrize(
    ("full", "chosen"), [([3], [3]), ([1, 2, 5], [1, 2, 5]), (range(100), [12, 37, 62, 87]), ([], [])]
)
def test_images_with_boxes_are_chosen_spread_over_all(full, chosen):
    boxes = [[BOX] if i in full else [] for i in range(100)]
    split = split_of(boxes, [[0] * len(one) for one in boxes], pixels=np.zeros((100, 3, 1, 1), np.uint8))
    assert choose_images(split) == chosen
    assert len(chosen) <= IMAGES


def test_images_that_show_only_what_is_ignored_are_not_chosen():
    pixels = np.zeros((2, 3, 1, 1), np.uint8)
    assert choose_images(split_of([[BOX], [BOX]], [[0], [0]], [[True], [False]], pixels=pixels)) == [1]


def test_an_image_of_noise_takes_no_more_than_it_may():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)
    details, _ = told(split_of([[BOX]], [[0]], size=(512, 512), pixels=pixels), [seen()])
    assert 1000 < len(base64.b64decode(details["images"][0]["jpeg"])) <= MOST_BYTES

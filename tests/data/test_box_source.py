import json
from dataclasses import asdict

import numpy as np
import pytest
from boxed import document, prepare, write_coco
from hypothesis import given as drawn
from hypothesis import strategies as st

from paretonas.data.box_listing import list_boxes
from paretonas.data.box_source import BoxSource, rarest_classes, split_boxes
from paretonas.errors import DataError


@pytest.mark.parametrize(
    "asked",
    [
        {"resolution": 32},
        {"resolution": 2080},
        {"resolution": 100},
        {"seed": -1},
        {"seed": 2**32},
        {"train_images": 0},
        {"val_images": -1},
        {"max_pixels": 0},
    ],
)
def test_numbers_out_of_range_are_refused(asked):
    with pytest.raises(DataError, match=next(iter(asked))):
        BoxSource("set", **asked)


@pytest.mark.parametrize("path", ["", "  ", "s3://bucket/cats", "https://example.com/cats.zip"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(DataError, match="a file or a folder of this machine"):
        BoxSource(path)


def test_a_source_is_plain_data():
    source = BoxSource("set", resolution=640, seed=3)
    assert BoxSource(**json.loads(json.dumps(asdict(source)))) == source


@drawn(st.lists(st.lists(st.integers(0, 4)), min_size=1, max_size=20))
def test_the_rarest_class_of_an_image_is_shown_by_the_fewest(labels):
    shown_by = [sum(label in image for image in labels) for label in range(5)]
    found = rarest_classes([np.array(image, np.int64) for image in labels], 5)
    for image, rarest in zip(labels, found.tolist(), strict=True):
        assert rarest == (min(set(image), key=lambda label: (shown_by[label], label)) if image else 5)


def listing_of(tmp_path, n=60):
    """Images 0 to 5 show a dog too, and images 6 to 11 nothing."""
    given = document(n)
    given["annotations"] = [
        item
        for item in given["annotations"]
        if (item["image_id"] < 12 if item["category_id"] == 7 else item["image_id"] not in range(12, 24))
    ]
    return list_boxes(write_coco(tmp_path, given), False)


def test_parts_are_stratified_by_the_rarest_class(tmp_path):
    listing = listing_of(tmp_path)
    parts = split_boxes(listing, np.arange(60), BoxSource("set"))
    assert [len(part) for part in parts] == [39, 0, 9, 12]
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    has_dog, is_empty = np.isin(np.arange(60), range(0, 12, 2)), np.isin(np.arange(60), range(12, 24))
    assert [int(has_dog[part].sum()) for part in parts] == [4, 0, 1, 1]
    assert [int(is_empty[part].sum()) for part in parts] == [8, 0, 2, 2]


def test_the_test_split_is_the_same_for_every_seed(tmp_path):
    listing = listing_of(tmp_path)
    one, other = (split_boxes(listing, np.arange(60), BoxSource("set", seed=seed)) for seed in (0, 1))
    assert set(one[3].tolist()) == set(other[3].tolist())
    assert set(one[2].tolist()) != set(other[2].tolist())


def test_sizes_are_those_asked_for(tmp_path):
    parts = split_boxes(listing_of(tmp_path), np.arange(60), BoxSource("set", train_images=20, val_images=5))
    assert [len(part) for part in parts] == [20, 23, 5, 12]


@pytest.mark.parametrize(
    ("asked", "match"),
    [({"val_images": 48}, "1 <= val_images <= 47"), ({"train_images": 40}, "1 <= train_images <= 39")],
)
def test_sizes_must_fit_the_data(tmp_path, asked, match):
    with pytest.raises(DataError, match=match):
        split_boxes(listing_of(tmp_path), np.arange(60), BoxSource("set", **asked))


def test_named_val_without_test_becomes_test(tmp_path, cache):
    write_coco(tmp_path / "set", document(10))
    other = document(3)
    for image in other["images"]:
        image["file_name"] = f"v{image['id']}.jpg"
    write_coco(tmp_path / "set", other, "val.json")
    prepared = prepare(tmp_path / "set", cache)
    assert (len(prepared.train), len(prepared.val), len(prepared.test)) == (8, 2, 3)
    assert all("/v" in name for name in prepared.test.names)


def test_one_class_is_enough_and_two_images_are_not(tmp_path, cache):
    alone = document(6)
    alone["annotations"] = alone["annotations"][:6]
    assert prepare(write_coco(tmp_path / "a", alone), cache).classes == ("cat",)
    with pytest.raises(DataError, match="must hold 1 images at least"):
        prepare(write_coco(tmp_path / "b", document(2)), cache)


def test_a_class_whose_training_images_are_left_out_is_an_error(tmp_path):
    listing = listing_of(tmp_path)
    with pytest.raises(DataError, match="1 of 2 have none: dog"):
        split_boxes(listing, np.setdiff1d(np.arange(60), range(0, 12, 2)), BoxSource("set"))

import math

import pytest
from boxed import (
    SIDEWAYS,
    annotation,
    boxes_by_name,
    document,
    find,
    picture,
    refuses,
    said,
    write,
    write_coco,
    write_yolo,
)
from PIL import Image

CAT = ("cat", 4, 5, 14, 17)


def write_stated(root, size, exif=None, stored=(40, 30)):
    """Images whose annotations state a size; the file of the first may be turned by its EXIF data, and is so large."""
    given = document(3)
    given["images"][0] |= {"width": size[0], "height": size[1]}
    del given["annotations"][3]  # of the first a cat is left
    write_coco(root, given)
    write(root / "images/0.jpg", picture(0, stored, **({"exif": exif} if exif else {})))
    return root


def first(found):
    return boxes_by_name(found)["0.jpg"][0][1:]


def test_boxes_that_reach_out_are_cut_off_and_that_is_said(tmp_path):
    given = document()
    given["annotations"] += [annotation(50, 1, bbox=[-3, 5, 10, 40]), annotation(51, 3, bbox=[30, 20, 10.4, 10.4])]
    found = find(write_coco(tmp_path, given))
    assert boxes_by_name(found)["1.jpg"][1] == ("cat", 0, 5, 7, 30)
    assert boxes_by_name(found)["3.jpg"][1] == ("cat", 30, 20, 40, 30)
    assert found.notes == ("1 box cut off at the edge of the image: train.json annotations[6] of images/1.jpg",)


@pytest.mark.parametrize(
    ("stated", "stored", "box"),
    [
        ((40, 30), (80, 60), (8, 10, 28, 34)),
        ((400, 300), (40, 30), (0.4, 0.5, 1.4, 1.7)),
        ((41, 30), (40, 30), (4 * 40 / 41, 5, 14 * 40 / 41, 17)),
        ((640, 427), (480, 320), (3, 5 * 320 / 427, 10.5, 17 * 320 / 427)),
    ],
)
def test_boxes_of_images_in_another_scale_are_scaled_and_that_is_said(tmp_path, stated, stored, box):
    found = find(write_stated(tmp_path, stated, stored=stored))
    assert first(found) == pytest.approx(box, rel=1e-5)
    assert found.sizes[0].tolist() == list(stored)
    assert said(
        found, "1 image of another size than the annotations state, to which the boxes are scaled: images/0.jpg"
    )


@pytest.mark.parametrize("stated", [(30, 40), (40, 40), (80, 30), (44, 30), (1, 1)])
def test_sizes_of_another_shape_are_named_or_left_out(tmp_path, stated):
    write_stated(tmp_path, stated)
    given = f"{stated[0]} x {stated[1]}"
    refuses(tmp_path, rf"images/0\.jpg: its annotations state {given}, but the file is 40 x 30")
    assert len(find(tmp_path, skip_corrupt=True).names) == 2


@pytest.mark.parametrize(("orientation", "turned"), [(6, (13, 4, 25, 14)), (8, (5, 26, 17, 36))])
def test_boxes_are_turned_where_the_stored_size_is_stated(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = find(write_stated(tmp_path, (40, 30), exif))
    assert found.sizes[0].tolist() == [30, 40]
    assert first(found) == turned
    assert said(found, "1 image turned upright, as EXIF data tell: images/0.jpg")
    assert said(found, "1 image turned upright with its boxes, as the annotations state the size before: images/0.jpg")


def test_boxes_stay_where_the_upright_size_is_stated(tmp_path):
    found = find(write_stated(tmp_path, (30, 40), SIDEWAYS))
    assert first(found) == CAT[1:]
    assert said(found, "1 image turned upright, as EXIF data tell")
    assert len(found.notes) == 1


def test_boxes_are_scaled_and_turned_at_once(tmp_path):
    found = find(write_stated(tmp_path, (20, 15), SIDEWAYS))
    assert found.sizes[0].tolist() == [30, 40]
    assert first(found) == (0, 8, 20, 28)  # [4, 5, 14, 17] is cut off at 15 and then turned and doubled


def test_a_half_turn_leaves_boxes_in_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    assert first(find(write_stated(tmp_path, (40, 30), exif))) == CAT[1:]


def test_square_images_are_taken_for_upright(tmp_path):
    found = find(write_stated(tmp_path, (30, 30), SIDEWAYS, stored=(30, 30)))
    assert first(found) == CAT[1:]


def test_fractions_are_of_the_upright_image(tmp_path):
    write_yolo(tmp_path, {"0": "0 0.25 0.5 0.5 1", "1": "1 0.5 0.5 0.5 0.5"})
    write(tmp_path / "images/0.jpg", picture(0, exif=SIDEWAYS))
    found = find(tmp_path)
    assert found.sizes[0].tolist() == [30, 40]
    assert boxes_by_name(found)["0.jpg"] == [("cat", 0, 0, 15, 40)]


def test_boxes_of_lost_images_are_not_faults_of_their_own(tmp_path):
    given = document(4)
    given["annotations"][0]["bbox"] = [math.nan, 0, 1, 1]
    given["annotations"][4]["bbox"] = [0, 0, 0, 0]
    write_coco(tmp_path, given)
    (tmp_path / "images/0.jpg").write_bytes(b"no image")
    assert list(find(tmp_path, skip_corrupt=True).faults) == ["images/0.jpg"]

import pytest
from boxed import boxes_by_name, find, picture, refuses, said, write, write_yolo

from paretonas.data.box_listing import list_boxes
from paretonas.data.yolo import parse_line

WHOLE = "0 0.5 0.5 1 1"


def test_boxes_are_fractions_of_the_image(tmp_path):
    found = find(write_yolo(tmp_path))
    assert found.classes == ("cat", "dog")
    assert boxes_by_name(found) == {
        "0.jpg": [("cat", 10, 7.5, 30, 22.5)],
        "1.jpg": [("dog", 5, 9, 15, 21)],
        "2.jpg": [],
    }
    assert found.notes == ("1 of 3 images without a box, and learned from as such",)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("images/train", "images/val"),
        ("./images/train", "./images/val"),
        ("../images/train", "../images/val"),
        (["images/train"], ["images/val"]),
        ("images\\train", "images/val/"),
        ("train.txt", "val.txt"),
        ("of_cvat_train.txt", "of_cvat_val.txt"),
    ],
)
def test_places_are_as_ultralytics_and_roboflow_write_them(tmp_path, train, val):
    for split in ("train", "val"):
        write_yolo(tmp_path, {"0": WHOLE, "1": ""}, images=f"images/{split}", labels=f"labels/{split}")
        write(tmp_path / f"{split}.txt", f"./images/{split}/0.jpg\n\nimages/{split}/1.jpg\n")
        lines = (f"data/images/{split}/{i}.jpg\n" for i in range(2))
        write(tmp_path / f"of_cvat_{split}.txt", "".join(lines))
    write(tmp_path / "data.yaml", f"path: .\ntrain: {train!r}\nval: {val!r}\ntest:\nnc: 2\nnames: {{0: cat, 1: dog}}\n")
    found = find(tmp_path)
    assert found.names == [f"images/{split}/{i}.jpg" for split in ("train", "val") for i in range(2)]
    assert found.splits.tolist() == ["train"] * 2 + ["val"] * 2
    assert [len(boxes) for boxes in found.boxes] == [1, 0, 1, 0]


def test_roboflow_has_images_and_labels_in_each_split(tmp_path):
    description = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['cat']\n"
    for split in ("train", "valid", "test"):
        write_yolo(tmp_path, {"0": WHOLE, "1": WHOLE}, description, f"{split}/images", f"{split}/labels")
    assert find(tmp_path).splits.tolist() == ["train"] * 2 + ["val"] * 2 + ["test"] * 2


def test_path_may_lie_elsewhere_and_be_given_itself(tmp_path):
    write_yolo(tmp_path / "set", {"0": WHOLE, "1": WHOLE})
    write(tmp_path / "here/any.yaml", f"path: {tmp_path / 'set'}\ntrain: images\nnames: [cat]\n")
    write(tmp_path / "there/data.yaml", "path: ../set\ntrain: images\nnames: [cat]\n")
    for file in (tmp_path / "here/any.yaml", tmp_path / "there", tmp_path / "here"):
        assert boxes_by_name(find(file))["0.jpg"] == [("cat", 0, 0, 40, 30)]
    write(tmp_path / "set/data.yaml", "path: /gone\ntrain: images\nnames: [cat]\n")
    assert len(find(tmp_path / "set").names) == 2


def test_labels_may_lie_beside_the_images(tmp_path):
    write_yolo(tmp_path, {"0": WHOLE, "1": WHOLE}, "train: photos\nnames: [cat]\n", "photos", "photos")
    write(tmp_path / "photos/classes.txt", "cat\n")
    assert [len(boxes) for boxes in find(tmp_path).boxes] == [1, 1]


def test_images_that_are_listed_twice_are_used_once_and_that_is_said(tmp_path):
    write_yolo(tmp_path, description="train: [images, list.txt]\nnames: [cat, dog]\n")
    write(tmp_path / "list.txt", "images/0.jpg\n")
    found = find(tmp_path)
    assert len(found.names) == 3
    assert said(found, "1 image of train listed once more and used once")


def test_a_folder_called_images_around_the_data_set_is_none_of_it(tmp_path):
    write_yolo(tmp_path / "images/set", {"0": WHOLE, "1": WHOLE}, "train: all\nnames: [cat]\n", "all", "all")
    assert [len(boxes) for boxes in find(tmp_path / "images/set").boxes] == [1, 1]


def test_a_place_that_is_not_there_is_an_error(tmp_path):
    write_yolo(tmp_path, description="train: ../photos\nnames: [cat]\n")
    refuses(tmp_path, r"for '\.\./photos' of train there is no .*/\.\./photos and no .*/photos\. Correct it there")
    write(tmp_path / "data.yaml", "train: images/0.jpg\nnames: [cat]\n")
    refuses(tmp_path, r"must be a folder or a \.txt file .* names .*0\.jpg")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "data.yaml", "train: images\ntest: empty\nnames: [cat, dog]\n")
    refuses(tmp_path, "names empty for test, where none lies")


def test_images_of_a_list_that_are_not_there_are_named(tmp_path):
    write_yolo(tmp_path, description="train: list.txt\nnames: [cat, dog]\n")
    write(tmp_path / "list.txt", "images/0.jpg\nimages/1.jpg\nimages/9.jpg\n")
    refuses(tmp_path, r"1 of 3 images .*images/9\.jpg: No such file")
    write(tmp_path / "list.txt", b"caf\xe9.jpg")
    refuses(tmp_path, "UTF-8")


def test_images_without_label_files_show_nothing_and_that_is_said(tmp_path):
    found = find(write_yolo(tmp_path, {"0": WHOLE, "1": None, "2": None, "3": ""}))
    assert [len(boxes) for boxes in found.boxes] == [1, 0, 0, 0]
    assert said(found, "2 of 4 images of train without a label file: nothing is shown there")


def test_a_split_without_any_label_file_is_an_error(tmp_path):
    write_yolo(tmp_path, {"0": WHOLE, "1": WHOLE}, labels="annotations")
    refuses(tmp_path, r"none of the 2 images of train has one, such as .*/labels/0\.txt for .*/images/0\.jpg")


def test_label_files_without_an_image_are_named(tmp_path):
    write_yolo(tmp_path)
    write(tmp_path / "labels/9.txt", WHOLE)
    refuses(tmp_path, r"labels/9\.txt: there is no image of it in .*images")
    assert len(find(tmp_path, skip_corrupt=True).names) == 3
    write(tmp_path / "data.yaml", "train: list.txt\nnames: [cat, dog]\n")
    write(tmp_path / "list.txt", "images/0.jpg\nimages/1.jpg\n")
    assert list(find(tmp_path, skip_corrupt=True).faults) == ["labels/9.txt"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2 0.5 0.5 0.1 0.1", "its class must be a number that has a name, but is 2"),
        ("-1 0.5 0.5 0.1 0.1", "but is -1"),
        ("0.5 0.5 0.5 0.1 0.1", "but is 0.5"),
        ("nan 0.5 0.5 0.1 0.1", "but is nan"),
        ("cat 0.5 0.5 0.1 0.1", "must be made of numbers, but is 'cat"),
        ("0 0.5 0.5 0.1", "but has 4 numbers"),
        ("0", "but has 1 number"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"but has 6 numbers \(a sixth, the confidence of a detector, is no truth\)"),
        ("0 0.5 0.5 nan 0.1", "is not made of finite numbers"),
        ("0 0.5 inf 0.1 0.1", "is not made of finite numbers"),
        ("0 0.5 0.5 0 0.1", "is empty"),
        ("0 0.5 0.5 -0.1 0.1", "has a negative width or height"),
        ("0 20 15 10 10", "25, 20, in fractions of the image, lies outside of the image"),
    ],
)
def test_lines_that_cannot_be_used_are_named_or_left_out(tmp_path, line, why):
    write_yolo(tmp_path, {"0": f"{WHOLE}\n\n{line}\n", "1": "1 0.5 0.5 0.5 0.5"})
    refuses(tmp_path, rf"1 of 2 images and 3 annotations are not: labels/0\.txt line 3: .*{why}")
    found = find(tmp_path, skip_corrupt=True)
    assert list(found.faults) == ["labels/0.txt line 3"]
    assert [len(boxes) for boxes in found.boxes] == [1, 1]


def test_label_files_that_are_not_utf_8_are_named(tmp_path):
    write_yolo(tmp_path)
    write(tmp_path / "labels/0.txt", b"\xff\xfe0")
    refuses(tmp_path, r"images/0\.jpg: its labels labels/0\.txt cannot be read: it is no text in UTF-8")
    (tmp_path / "labels/0.txt").unlink()
    (tmp_path / "labels/0.txt").mkdir()
    refuses(tmp_path, r"its labels labels/0\.txt cannot be read")


def test_the_box_around_a_polygon_is_taken_and_that_is_said(tmp_path):
    found = find(write_yolo(tmp_path, {"0": "0 0.25 0.5 0.5 0.2 0.75 0.6", "1": "1 0.5 0.5 0.5 0.5"}))
    assert boxes_by_name(found)["0.jpg"] == [("cat", 10, 6, 30, 18)]
    assert said(found, "1 polygon in the labels of train, of which the box around it is taken")


def test_key_points_are_passed_over(tmp_path):
    description = "train: images\nnames: [cat]\nkpt_shape: [1, 2]\n"
    found = find(write_yolo(tmp_path, {"0": "0 0.5 0.5 0.5 0.5 0.1 0.1", "1": WHOLE}, description))
    assert boxes_by_name(found)["0.jpg"] == [("cat", 10, 7.5, 30, 22.5)]


def test_rounding_at_the_edge_is_not_told_of(tmp_path):
    found = find(write_yolo(tmp_path, {"0": "0 0.5 0.5 1.000002 1.000002", "1": "1 0.5 0.5 0.5 0.5"}))
    assert boxes_by_name(found)["0.jpg"] == [("cat", 0, 0, 40, 30)]
    assert found.notes == ()


def test_lines_are_read_as_numbers():
    assert parse_line("1.0 .5 5e-1 0.5 0.25", [1], has_key_points=False) == (1, 0.25, 0.375, 0.75, 0.625)


def test_two_splits_of_the_same_images_are_told_of(tmp_path):
    found = find(write_yolo(tmp_path, description="train: images\nval: images\nnames: [cat, dog]\n"))
    assert len(found.names) == 6
    assert said(found, "3 images in more than one split (images/0.jpg, images/1.jpg, images/2.jpg)")


def test_a_path_may_be_a_text(tmp_path):
    write_yolo(tmp_path)
    write(tmp_path / "images/3.png", picture(3, kind="PNG"))
    assert len(list_boxes(str(tmp_path), False).names) == 4

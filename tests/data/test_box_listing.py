import errno
import os

import numpy as np
import pytest
from boxed import (
    annotation,
    boxes_by_name,
    document,
    find,
    pack,
    picture,
    refuses,
    said,
    voc,
    write,
    write_coco,
    write_yolo,
)

from paretonas.data import coco
from paretonas.errors import DataError, MachineError


def test_what_is_no_data_set_is_refused_with_what_it_holds(tmp_path):
    refuses(tmp_path / "nowhere", "must exist")
    refuses(tmp_path, r"Data for detection must be COCO's JSON .* but .* holds nothing\.")
    write(tmp_path / "1.jpg", picture(1))
    write(tmp_path / "1.txt", "0 0.5 0.5 1 1")
    refuses(tmp_path, r"holds 2 other files \(\.jpg 1, \.txt 1\)\.")
    refuses(tmp_path / "1.jpg", "is a file of another kind")
    pack(tmp_path / "cells.zip", {"train.json": "{}"})
    refuses(tmp_path / "cells.zip", r"is a file of another kind\. Unpack it, and give the folder")
    refuses(tmp_path, r"holds .*\. Unpack cells\.zip, if that holds them\.")


@pytest.mark.parametrize("file", ["anything.json", "annotations/anything.json"])
def test_the_only_json_file_is_read_whatever_it_is_called(tmp_path, file):
    assert len(find(write_coco(tmp_path, file=file)).names) == 4


def test_the_only_yaml_file_is_read_whatever_it_is_called(tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "pets.yml")
    assert len(find(tmp_path).names) == 3
    write(tmp_path / "other.yml", "")
    refuses(tmp_path, r"Of other\.yml, pets\.yml, give the one that is meant")


def test_a_folder_of_several_formats_is_refused(tmp_path):
    write_coco(tmp_path)
    write_yolo(tmp_path)
    write(tmp_path / "images/0.xml", voc())
    refuses(tmp_path, r"holds COCO's JSON and Pascal VOC's XML and YOLO's data.yaml\. Give")
    assert len(find(tmp_path / "train.json").names) == 4


def test_an_empty_data_set_is_an_error(tmp_path):
    refuses(write_coco(tmp_path / "a", document(1)), "2 images at least, but there is 1")
    refuses(write_coco(tmp_path / "b", document(annotations=[])), "must show boxes .* none of 4 images does")
    refuses(write_yolo(tmp_path / "c", {"0": "", "1": ""}), "must show boxes")


def test_a_split_of_which_all_images_are_left_out_is_an_error(tmp_path):
    write_coco(tmp_path)
    given = document(1)
    given["images"][0]["file_name"] = "gone.jpg"
    write_coco(tmp_path, given, "test.json", "elsewhere")
    (tmp_path / "elsewhere/gone.jpg").unlink()
    refuses(tmp_path, "gone.jpg: no file")
    with pytest.raises(DataError, match=r"all images of test are left out\. gone\.jpg: no file of that name"):
        find(tmp_path, skip_corrupt=True)


def test_images_without_boxes_are_kept_and_counted(tmp_path):
    given = document()
    given["annotations"] = [item for item in given["annotations"] if item["image_id"] != 1]
    found = find(write_coco(tmp_path, given))
    assert boxes_by_name(found)["1.jpg"] == []
    assert found.boxes[1].shape == (0, 4)
    assert found.notes == ("1 of 4 images without a box, and learned from as such",)


def test_boxes_that_are_there_twice_count_once(tmp_path):
    given = document()
    given["annotations"] += [annotation(50, 1), annotation(51, 1), annotation(52, 1, category_id=7)]
    found = find(write_coco(tmp_path, given))
    assert boxes_by_name(found)["1.jpg"] == [("cat", 4, 5, 14, 17), ("dog", 4, 5, 14, 17)]
    assert found.notes == ("2 boxes there twice and counted once",)


def test_classes_without_an_image_are_left_out_and_that_is_said(tmp_path):
    given = document()
    given["categories"] = [{"id": i, "name": name} for i, name in enumerate(("ant", "bee", "cow", "cat"))]
    given["categories"] += [{"id": 7, "name": "dog"}, {"id": 9, "name": "eel"}]
    given["annotations"].append(annotation(50, 1, category_id=9, iscrowd=1))
    found = find(write_coco(tmp_path, given))
    assert found.classes == ("cat", "dog")
    assert [labels.tolist() for labels in found.labels] == [[0, 1], [0], [0, 1], [0]]
    assert said(found, "no image is of ant, bee, cow, …: left out of the classes, with 1 box of crowds")


def test_a_class_without_a_training_image_is_an_error(tmp_path):
    given = document()
    given["annotations"] = given["annotations"][:4]
    write_coco(tmp_path, given)
    other = document(2)
    for image in other["images"]:
        image["file_name"] = f"v{image['id']}.jpg"
    write_coco(tmp_path, other, "val.json")
    refuses(tmp_path, "1 of 2 have none: dog")


def test_an_image_in_two_splits_is_told_of(tmp_path):
    write_coco(tmp_path)
    write_coco(tmp_path, document(2), "test.json")
    found = find(tmp_path)
    assert found.names == ["images/0.jpg", "images/1.jpg", *(f"images/{i}.jpg" for i in range(4))]
    assert said(found, "2 images in more than one split (images/0.jpg, images/1.jpg): what is scored on them")


def test_files_that_are_no_images_are_named_or_left_out(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "images/0.jpg").write_bytes(b"<html>")
    (tmp_path / "images/1.jpg").write_bytes(b"")
    (tmp_path / "images/2.jpg").unlink()
    os.mkfifo(tmp_path / "images/2.jpg")
    message = refuses(tmp_path, "3 of 4 images")
    assert "images/0.jpg: not an image of a known format" in message
    assert "images/2.jpg: it is no regular file" in message
    (tmp_path / "images/1.jpg").write_bytes(picture(1))
    assert sorted(find(tmp_path, skip_corrupt=True).faults) == ["images/0.jpg", "images/2.jpg"]


def test_images_of_too_many_pixels_are_refused_unless_they_are_allowed(tmp_path):
    write_coco(tmp_path)
    refuses(tmp_path, r"4 of 4 images.*--task detection:max_pixels=N", max_pixels=1000)
    assert len(find(tmp_path, max_pixels=1200).names) == 4


def test_a_pass_gives_the_images_in_order(tmp_path):
    found = find(write_coco(tmp_path))
    for _ in range(2):
        assert [path.name for path in found.encoded()] == [f"{i}.jpg" for i in range(4)]


def test_content_changes_with_images_boxes_classes_and_splits(tmp_path):
    def content(name, given=None, file="train.json"):
        root = write_coco(tmp_path / name, given, file)
        for image in (root / "images").iterdir():
            os.utime(image, (1, 1))
        return find(root / file).content

    moved, renamed, crowd = document(), document(), document()
    moved["annotations"][0]["bbox"][0] += 1
    renamed["categories"][0]["name"] = "cow"
    crowd["annotations"][4]["iscrowd"] = 1
    contents = [
        content("a"),
        content("b", moved),
        content("c", renamed),
        content("d", crowd),
        content("e", document(5)),
    ]
    assert len(set(contents)) == 5
    assert content("f") == contents[0]
    (tmp_path / "a/images/0.jpg").write_bytes(picture(77))
    assert find(tmp_path / "a").content != contents[0]
    write_coco(tmp_path / "b", moved, "val.json")
    assert find(tmp_path / "b").content != contents[1]


def test_data_that_may_not_be_read_are_an_error(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    write_coco(tmp_path)
    monkeypatch.setattr(coco, "open_regular", refuse)
    refuses(tmp_path, "must be readable, but .*Permission denied")


@pytest.mark.parametrize("fault", [OSError(24, "Too many open files"), MemoryError("9 GB")])
def test_what_the_machine_refuses_is_said(tmp_path, monkeypatch, fault):
    def refuse(_):
        raise fault

    write_coco(tmp_path)
    monkeypatch.setattr(coco, "open_regular", refuse)
    with pytest.raises(MachineError, match=f"The data {tmp_path} cannot be read: .*then go on"):
        find(tmp_path)


def test_order_of_annotations_does_not_matter_to_images(tmp_path):
    given = document(6)
    order = np.random.default_rng(0).permutation(len(given["annotations"]))
    shuffled = given | {"annotations": [given["annotations"][i] for i in order]}
    one, other = (boxes_by_name(find(write_coco(tmp_path / n, d))) for n, d in (("a", given), ("b", shuffled)))
    assert {name: sorted(boxes) for name, boxes in one.items()} == {
        name: sorted(boxes) for name, boxes in other.items()
    }

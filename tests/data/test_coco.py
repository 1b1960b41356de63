import json
import zipfile

import numpy as np
import pytest
from boxed import (
    annotation,
    boxes_by_name,
    document,
    find,
    pack,
    picture,
    prepare,
    refuses,
    said,
    voc,
    write,
    write_coco,
)


def test_boxes_classes_and_sizes_are_read(tmp_path):
    found = find(write_coco(tmp_path))
    assert found.classes == ("cat", "dog")
    assert boxes_by_name(found) == {
        "0.jpg": [("cat", 4, 5, 14, 17), ("dog", 20, 10, 28, 16)],
        "1.jpg": [("cat", 4, 5, 14, 17)],
        "2.jpg": [("cat", 4, 5, 14, 17), ("dog", 20, 10, 28, 16)],
        "3.jpg": [("cat", 4, 5, 14, 17)],
    }
    assert found.sizes.tolist() == [[40, 30]] * 4
    assert found.splits.tolist() == ["train"] * 4
    assert (found.notes, found.faults) == ((), {})
    assert {array.dtype.name for array in found.boxes} == {"float32"}


def test_layout_of_bccd_is_read(real_data):
    found = find(real_data / "bccd")
    splits, counts = np.unique(found.splits, return_counts=True)
    assert dict(zip(splits.tolist(), counts.tolist(), strict=True)) == {"train": 205, "val": 87, "test": 72}
    assert sum(map(len, found.boxes)) == 4886
    assert found.classes == ("Platelets", "RBC", "WBC")
    assert found.notes == ()
    assert not any(map(np.any, found.is_ignored))


def test_a_file_that_is_named_itself_is_read_as_training_images(real_data):
    found = find(real_data / "voc2012_100/gt.json")
    assert (len(found.names), sum(map(len, found.boxes)), len(found.classes)) == (100, 273, 20)
    assert set(found.splits) == {"train"}
    refuses(real_data / "voc2012_100", r"Of detections\.json, gt\.json, reference_ap\.json, give the one")


def test_official_layout_takes_the_files_with_boxes(tmp_path):
    for first, split in enumerate(("train", "val")):
        given = document(3)
        for image in given["images"]:
            image["file_name"] = f"{first}{image['id']}.jpg"
        write_coco(tmp_path, given, f"annotations/instances_{split}2017.json", f"{split}2017")
        write(tmp_path / f"annotations/captions_{split}2017.json", "{}")
    found = find(tmp_path)
    assert found.splits.tolist() == ["train"] * 3 + ["val"] * 3
    assert found.names[3] == "val2017/10.jpg"
    assert said(found, "2 other files (.json 2)")
    alone = find(tmp_path / "annotations/instances_val2017.json")
    assert (alone.splits.tolist(), alone.names[0]) == (["train"] * 3, "val2017/10.jpg")


def test_roboflow_has_the_same_names_in_several_folders(tmp_path):
    for split in ("train", "valid", "test"):
        given = document(2)
        given["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})
        write_coco(tmp_path, given, f"{split}/_annotations.coco.json", split)
    found = find(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.names == [f"{split}/{i}.jpg" for split in ("test", "train", "valid") for i in range(2)]
    assert found.splits.tolist() == ["test"] * 2 + ["train"] * 2 + ["val"] * 2


@pytest.mark.parametrize("inside", ["", "photos/", "a/b/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_images_are_read_from_an_archive(tmp_path, inside, compression):
    write_coco(tmp_path / "loose")
    write_coco(tmp_path / "packed", json.dumps(document()))
    pack(tmp_path / "packed/all.zip", {f"{inside}{i}.jpg": picture(i) for i in range(4)}, compression)
    packed, loose = find(tmp_path / "packed"), find(tmp_path / "loose")
    assert packed.names[0] == f"all.zip/{inside}0.jpg"
    assert boxes_by_name(packed) == boxes_by_name(loose)
    assert list(packed.encoded()) == [picture(i) for i in range(4)]
    assert sorted(file.name for file in (tmp_path / "packed").iterdir()) == ["all.zip", "train.json"]


def test_what_is_not_used_is_counted(tmp_path):
    write_coco(tmp_path, json.dumps(document()))
    write(tmp_path / "README.md", "about")
    pack(tmp_path / "images.zip", {f"{i}.jpg": picture(i) for i in range(6)} | {"__MACOSX/0.jpg": b"", ".x": b""})
    assert find(tmp_path).notes == (
        f"not used of {tmp_path}: 1 other file (.md 1)",
        f"not used of {tmp_path / 'images.zip'}: 2 files",
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "whole JSON in UTF-8"),
        ('{"images": [', "whole JSON in UTF-8"),
        ("[" * 100_000, "whole JSON in UTF-8"),
        ('{"images": [{"id": ' + "9" * 5000 + "}]}", "whole JSON in UTF-8"),
        ("[]", "no list images, annotations, categories"),
        ("3", "no list images"),
        ('{"images": [], "annotations": {}, "categories": []}', r"no list annotations\."),
        ('{"images": [], "annotations": [], "categories": []}', "lists none"),
        ('{"images": [3], "annotations": [], "categories": []}', r"images\[0\] of train.json is 3"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', r"images\[0\] of train.json"),
        ('{"images": [{"id": [], "file_name": "1.jpg"}], "annotations": [], "categories": []}', "an `id`"),
        ('{"images": [{"id": true, "file_name": "1.jpg"}], "annotations": [], "categories": []}', "an `id`"),
        ('{"images": [{"id": 1, "file_name": 1}], "annotations": [], "categories": []}', "a `file_name`"),
    ],
)
def test_a_file_of_another_kind_is_an_error(tmp_path, text, match):
    refuses(write_coco(tmp_path, text), match)


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "train.json").write_bytes(json.dumps(document()).encode("utf-16"))
    refuses(tmp_path, "whole JSON in UTF-8, but .*train.json is not")


@pytest.mark.parametrize(
    ("categories", "match"),
    [
        ([{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}], "'cat' and 'dog' have 3"),
        ([{"id": 3, "name": "cat"}, {"id": 7, "name": "cat"}], "those of several: cat"),
        ([{"id": 3, "name": "cat"}, {"id": 7}], r"categories\[1\]"),
        ([{"id": 3, "name": "cat"}, {"id": 7, "name": " "}], r"categories\[1\]"),
        ([{"id": 3, "name": "cat"}, {"id": 7.5, "name": "dog"}], r"categories\[1\]"),
        ([{"id": 3, "name": "cat"}, "dog"], r"categories\[1\]"),
        ([{"id": 3, "name": "caf\u00e9"}, {"id": 7, "name": "cafe\u0301"}], "differ to the eye"),
    ],
)
def test_categories_are_checked(tmp_path, categories, match):
    refuses(write_coco(tmp_path, document(categories=categories)), match)


def test_categories_of_several_files_are_united_by_their_names(tmp_path):
    write_coco(tmp_path)
    other = document(categories=[{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}])
    for image in other["images"]:
        image["file_name"] = f"v{image['file_name']}"
    write_coco(tmp_path, other, "val.json")
    found = find(tmp_path)
    assert found.classes == ("cat", "dog")
    assert boxes_by_name(found)["v1.jpg"] == [("dog", 4, 5, 14, 17)]


def test_an_image_is_listed_once_and_has_an_id_of_its_own(tmp_path):
    given = document()
    given["images"][1]["id"] = 0
    refuses(write_coco(tmp_path / "a", given), "'0.jpg' and '1.jpg' have 0")
    given = document()
    given["images"][1]["file_name"] = "0.jpg"
    refuses(write_coco(tmp_path / "b", given), "lists '0.jpg' with the ids 0 and 1")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"image_id": 99}, "image_id must be the id of an image, but is 99"),
        ({"image_id": [1]}, r"image_id must be the id of an image, but is \[1\]"),
        ({"image_id": None}, "but is None"),
        ({"category_id": 1}, "category_id must be the id of a category, but is 1"),
        ({"category_id": {}}, "category_id must be the id of a category"),
        ({"bbox": None}, r"bbox must be \[x, y, width, height\], but is None"),
        ({"bbox": [1, 2, 3]}, r"but is \[1, 2, 3\]"),
        ({"bbox": ["1", 2, 3, 4]}, "bbox must be"),
        ({"bbox": [True, 2, 3, 4]}, "bbox must be"),
        ({"bbox": [1, 2, float("nan"), 4]}, "finite numbers"),
        ({"bbox": [1, 2, float("inf"), 4]}, "finite numbers"),
        ({"bbox": [1, 2, 10**400, 4]}, "finite numbers"),
        ({"bbox": [1, 2, 1e300, 4]}, "finite numbers"),
        ({"bbox": [1, 2, 0, 4]}, "is empty"),
        ({"bbox": [1, 2, -3, 4]}, "has a negative width or height"),
        ({"bbox": [40, 2, 3, 4]}, "lies outside of the image"),
        ({"bbox": [-9, 2, 3, 4]}, "lies outside of the image"),
        ({"bbox": [1, 2, 1e-9, 4]}, "is empty inside of the image"),
        ({"iscrowd": 2}, "iscrowd must be 0 or 1, but is 2"),
        ({"iscrowd": []}, "iscrowd must be 0 or 1"),
    ],
)
def test_annotations_that_cannot_be_used_are_named_or_left_out(tmp_path, changed, why):
    given = document()
    given["annotations"].append(annotation(50, 1, **changed))
    write_coco(tmp_path, given)
    image = " of images/1.jpg" if "image_id" not in changed else ""  # where it is known
    refuses(tmp_path, rf"1 of 4 images and 7 annotations are not: train.json annotations\[6\]{image}: .*{why}")
    found = find(tmp_path, skip_corrupt=True)
    assert list(found.faults) == [f"train.json annotations[6]{image}"]
    assert boxes_by_name(found)["1.jpg"] == [("cat", 4, 5, 14, 17)]


def test_sizes_of_nought_are_none(tmp_path):
    given = document()
    given["images"][0] |= {"width": 0, "height": 0}
    assert (
        boxes_by_name(find(write_coco(tmp_path, given)))["0.jpg"] == boxes_by_name(find(write_coco(tmp_path)))["0.jpg"]
    )
    given["images"][0] |= {"width": 0, "height": 30}
    refuses(write_coco(tmp_path / "none", given), r"its width and height must be numbers of pixels, but .* \(0, 30\)")


def test_training_images_without_boxes_are_refused(tmp_path):
    write_coco(tmp_path, document(annotations=[]))
    write_coco(tmp_path, document(), "val.json")
    refuses(tmp_path, "Training images must show boxes to learn from, but none of 4 images does")


def test_an_annotation_that_is_no_object_is_named(tmp_path):
    refuses(write_coco(tmp_path, document(annotations=[*document()["annotations"], 3])), "must be an object, but is 3")


def test_faults_are_listed_up_to_ten(tmp_path):
    given = document()
    given["annotations"] += [annotation(50 + i, 99) for i in range(30)]
    message = refuses(write_coco(tmp_path, given), "30 of 4 images and 36 annotations")
    assert message.count("annotations[") == 10
    assert "; and 20 more. Correct them, or leave them out with --skip-corrupt." in message


def test_crowds_are_ignored_and_iscrowd_may_be_absent(tmp_path):
    given = document()
    given["annotations"][4]["iscrowd"] = 1
    del given["annotations"][5]["iscrowd"]
    found = find(write_coco(tmp_path, given))
    assert [flags.tolist() for flags in found.is_ignored] == [[False, True], [False], [False, False], [False]]
    assert said(found, "1 box of crowds or of what is difficult: neither learned from nor counted")


def test_ids_of_annotations_may_repeat_and_that_is_said(tmp_path):
    given = document()
    given["annotations"][1]["id"] = 0
    found = find(write_coco(tmp_path, given))
    assert sum(map(len, found.boxes)) == 6
    assert said(found, "1 annotation of train.json with the id of another")


@pytest.mark.parametrize("name", ["/etc/passwd", "../0.jpg", "a/../../0.jpg", "C:/0.jpg", "", "0\0.jpg"])
def test_paths_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    write_coco(tmp_path)
    given = document()
    given["images"][0]["file_name"] = name
    (tmp_path / "train.json").write_text(json.dumps(given))
    refuses(tmp_path, "is no path within a folder")
    assert len(find(tmp_path, skip_corrupt=True).names) == 3


def test_images_that_are_not_there_are_named_and_their_boxes_left_out(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "images/1.jpg").unlink()
    refuses(tmp_path, rf"1 of 4 images.*: 1\.jpg: no file of that name was found in {tmp_path}")
    found = find(tmp_path, skip_corrupt=True)
    assert len(found.names) == 3
    assert sum(map(len, found.boxes)) == 5


def test_images_that_are_there_twice_are_named(tmp_path):
    write_coco(tmp_path)
    write(tmp_path / "other/1.jpg", picture(1))
    refuses(tmp_path, r"1\.jpg: it is there 2 times: images/1\.jpg, other/1\.jpg")


@pytest.mark.parametrize("size", [(0, 30), (-40, 30), ("40", 30), (None, 30), (float("nan"), 30), ([], 30)])
def test_sizes_that_no_image_has_are_named(tmp_path, size):
    given = document()
    given["images"][2] |= dict(zip(("width", "height"), size, strict=True))
    refuses(write_coco(tmp_path, given), "width and height must be numbers of pixels")


def test_sizes_may_be_absent(tmp_path):
    given = document()
    for image in given["images"]:
        del image["width"], image["height"]
    assert boxes_by_name(find(write_coco(tmp_path, given)))["1.jpg"] == [("cat", 4, 5, 14, 17)]


def test_two_files_of_one_split_are_an_error(tmp_path):
    write_coco(tmp_path)
    write_coco(tmp_path, file="training.json")
    refuses(tmp_path, r"both train\.json and training\.json are of train")


def test_files_without_train_are_an_error(tmp_path):
    refuses(write_coco(tmp_path, file="val.json"), "must include train")


def test_outlines_are_passed_over(tmp_path, cache):
    given = document(6)
    for item in given["annotations"]:
        item["segmentation"] = [[1, 2, 3, 4]]
    assert len(prepare(write_coco(tmp_path / "set", given), cache).full_train) == 5


def test_coco_beside_another_format_is_an_error(tmp_path):
    write_coco(tmp_path)
    write(tmp_path / "images/0.xml", voc())
    refuses(tmp_path, "holds COCO's JSON and Pascal VOC's XML")

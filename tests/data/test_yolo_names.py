import pytest
from boxed import boxes_by_name, find, picture, refuses, said, write

WHOLE, HALF = "0 0.5 0.5 1 1", "1 0.5 0.5 0.5 0.5"
BOXES = {"0.jpg": [("cat", 0, 0, 40, 30)], "1.jpg": [("dog", 10, 7.5, 30, 22.5)]}


def write_pairs(root, images="", labels="", first=0):
    """Two images with a label file each."""
    for number, line in enumerate((WHOLE, HALF), first):
        write(root / images / f"{number}.jpg", picture(number))
        write(root / labels / f"{number}.txt", line)
    return root


def test_labelimg_has_all_in_one_folder(tmp_path):
    write(write_pairs(tmp_path) / "classes.txt", "cat\ndog\n\n")
    found = find(tmp_path)
    assert (found.classes, boxes_by_name(found), found.notes) == (("cat", "dog"), BOXES, ())
    assert found.splits.tolist() == ["train"] * 2


def test_label_studio_has_folders_of_images_and_labels(tmp_path):
    write(write_pairs(tmp_path, "images", "labels") / "classes.txt", "cat\ndog")
    write(tmp_path / "notes.json", "{}")
    found = find(tmp_path)
    assert boxes_by_name(found) == BOXES
    assert said(found, "1 other file (.json 1)")


def test_cvat_names_the_split_in_its_folders(tmp_path):
    write(tmp_path / "obj.names", "cat\ndog\n")
    write(tmp_path / "obj.data", "classes = 2\n")
    write_pairs(tmp_path, "obj_train_data", "obj_train_data")
    assert boxes_by_name(find(tmp_path)) == BOXES
    write_pairs(tmp_path, "obj_validation_data/day", "obj_validation_data/day", first=2)
    found = find(tmp_path)
    assert found.names == [
        "obj_train_data/0.jpg",
        "obj_train_data/1.jpg",
        *(f"obj_validation_data/day/{i}.jpg" for i in (2, 3)),
    ]
    assert found.splits.tolist() == ["train"] * 2 + ["val"] * 2
    assert found.notes == ()


def test_darknet_has_names_in_every_split(tmp_path):
    for first, split in enumerate(("train", "valid", "test")):
        write(write_pairs(tmp_path, split, split, 2 * first) / split / "_darknet.labels", "cat\ndog")
    assert find(tmp_path).splits.tolist() == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    write(tmp_path / "valid/_darknet.labels", "dog\ncat")
    refuses(tmp_path, r"Classes must be the same in all splits, but .*valid/_darknet.labels differ")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("", "Classes must be named, one a line, but .*classes.txt names none"),
        ("cat\ncat\n", "names several cat"),
        ("cat\n\ndog\n", "The name of a class must be text, but in .* that of 1 is ''"),
        (b"\xff\xfe", "A text is UTF-8"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path, names, why):
    write(write_pairs(tmp_path) / "classes.txt", names)
    refuses(tmp_path, why)


def test_classes_without_a_name_and_labels_without_an_image_are_told(tmp_path):
    write(write_pairs(tmp_path) / "classes.txt", "cat\n")
    write(tmp_path / "5.txt", WHOLE)
    message = refuses(tmp_path, "2 of 2 images")
    assert "1.txt line 1: its class must be a number that has a name, but is 1" in message
    assert "5.txt: there is no image of it" in message
    assert [len(boxes) for boxes in find(tmp_path, skip_corrupt=True).boxes] == [1, 0]


def test_images_are_divided_by_their_folders_or_not_at_all(tmp_path):
    write(write_pairs(tmp_path, "train", "train") / "classes.txt", "cat\ndog")
    write_pairs(tmp_path, "more", "more", 2)
    refuses(tmp_path, r"more/2\.jpg, more/3\.jpg lie in none beside those of train\. Move them")
    (tmp_path / "more").rename(tmp_path / "train/more")
    assert len(find(tmp_path).names) == 4
    (tmp_path / "train").rename(tmp_path / "val")
    refuses(tmp_path, "must include train")


def test_names_alone_are_no_data(tmp_path):
    write(tmp_path / "classes.txt", "cat\n")
    refuses(tmp_path, "There must be images")

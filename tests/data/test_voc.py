import pytest
from boxed import boxes_by_name, find, picture, refuses, said, voc, write

CAT = ("cat", 5, 6, 14, 17)
DOG = ("dog", 21, 11, 28, 16)


def write_voc(root, objects, apart=True, sets=None):
    """Images 0, 1, …, with these objects each, apart from the XML files or beside them."""
    for number, listed in enumerate(objects):
        write(root / ("JPEGImages" if apart else "") / f"{number}.jpg", picture(number))
        write(root / ("Annotations" if apart else "") / f"{number}.xml", voc(*listed))
    for name, stems in (sets or {}).items():
        write(root / "ImageSets/Main" / f"{name}.txt", "".join(f"{stem}\n" for stem in stems))
    return root


def test_pixels_count_from_1_and_a_box_includes_its_last(tmp_path):
    found = find(write_voc(tmp_path, [[CAT], [CAT, DOG], []]))
    assert found.classes == ("cat", "dog")
    assert boxes_by_name(found) == {
        "0.jpg": [("cat", 4, 5, 14, 17)],
        "1.jpg": [("cat", 4, 5, 14, 17), ("dog", 20, 10, 28, 16)],
        "2.jpg": [],
    }
    assert found.notes == ("1 of 3 images without a box, and learned from as such",)


def test_pixels_count_from_0_where_a_box_begins_there(tmp_path):
    found = find(write_voc(tmp_path, [[CAT], [("cat", 0, 6, 14, 17)]]))
    assert boxes_by_name(found) == {"0.jpg": [("cat", 5, 6, 14, 17)], "1.jpg": [("cat", 0, 6, 14, 17)]}
    assert said(found, "some boxes begin at 0: all are taken to count pixels from 0")


def test_sets_are_those_of_the_files(tmp_path):
    sets = {"train": [0, 1], "val": [2], "test": [4], "trainval": [0, 1, 2], "cat_train": ["0  1"]}
    found = find(write_voc(tmp_path, [[CAT]] * 6, sets=sets))
    assert dict(zip(found.names, found.splits.tolist(), strict=True)) == {
        "JPEGImages/0.jpg": "train", "JPEGImages/1.jpg": "train", "JPEGImages/2.jpg": "val", "JPEGImages/4.jpg": "test",
    }  # fmt: skip
    assert said(found, "4 other files (.jpg 2, .txt 2, .xml 2)") or said(found, "6 other files")


@pytest.mark.parametrize(
    ("sets", "splits"),
    [
        ({"trainval": [0, 1, 2, 3]}, ["train"] * 4),
        ({"trainval": [0, 1], "test": [2, 3]}, ["train", "train", "test", "test"]),
        ({"trainval": [0, 1, 2], "val": [2], "test": [3]}, ["train", "train", "val", "test"]),
        ({"trainval": [0, 1, 2], "train": [0, 1], "test": [3]}, ["train", "train", "val", "test"]),
        ({}, ["train"] * 4),
        ({"cat_train": [0]}, ["train"] * 4),
    ],
)
def test_trainval_fills_the_split_that_has_no_file(tmp_path, sets, splits):
    found = find(write_voc(tmp_path, [[CAT]] * 4, sets=sets))
    assert [split for _, split in sorted(zip(found.names, found.splits.tolist(), strict=True))] == splits


def test_an_image_is_listed_once(tmp_path):
    write_voc(tmp_path, [[CAT]] * 4, sets={"train": [0, 1, 1, 2]})
    refuses(tmp_path, "ImageSets/Main/train.txt of .* lists several times 1")


def test_sets_without_train_are_an_error(tmp_path):
    refuses(write_voc(tmp_path, [[CAT]] * 4, sets={"val": [0, 1]}), "must include train")


def test_what_sets_name_must_be_there(tmp_path):
    write_voc(tmp_path, [[CAT]] * 4, sets={"train": [0, 1, 2, 9]})
    refuses(tmp_path, r"1 of 4 images .*: 9: there is no image of that name")


def test_a_set_that_is_not_utf_8_is_an_error(tmp_path):
    write_voc(tmp_path, [[CAT]] * 4)
    write(tmp_path / "ImageSets/Main/train.txt", b"caf\xe9\n")
    refuses(tmp_path, "UTF-8")


def test_files_beside_the_images_in_folders_of_splits_are_read(tmp_path):
    for split in ("train", "valid", "test"):
        write_voc(tmp_path / split, [[CAT], [DOG]], apart=False)
    found = find(tmp_path)
    assert found.splits.tolist() == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert found.names[-1] == "valid/1.jpg"


@pytest.mark.parametrize("folders", [("annotations", "images"), ("Annotations", "Images")])
@pytest.mark.parametrize("within", ["", "VOCdevkit/VOC2007"])
def test_folders_may_be_called_otherwise_and_lie_deeper(tmp_path, folders, within):
    for number in range(3):
        write(tmp_path / within / folders[1] / f"{number}.png", picture(number, kind="PNG"))
        write(tmp_path / within / folders[0] / f"{number}.xml", voc(CAT))
    assert len(find(tmp_path).names) == 3


def test_several_data_sets_are_an_error(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        write_voc(tmp_path / year, [[CAT]] * 2)
    refuses(tmp_path, "lie in VOC2007, VOC2012. Give one of these")


def test_difficult_objects_are_ignored_and_parts_are_passed_over(tmp_path):
    write_voc(tmp_path, [[(*CAT, 1), (*DOG, 0)], [CAT]])
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part></object>"
    xml = (tmp_path / "Annotations/1.xml").read_text().replace("</object>", part)
    (tmp_path / "Annotations/1.xml").write_text(xml)
    found = find(tmp_path)
    assert [flags.tolist() for flags in found.is_ignored] == [[True, False], [False]]
    assert boxes_by_name(found)["1.jpg"] == [("cat", 4, 5, 14, 17)]


@pytest.mark.parametrize("size", [None, (0, 0)])
def test_sizes_may_be_absent(tmp_path, size):
    for number in range(2):
        write(tmp_path / f"{number}.jpg", picture(number))
        write(tmp_path / f"{number}.xml", voc(CAT, size=size))
    assert boxes_by_name(find(tmp_path))["0.jpg"] == [("cat", 4, 5, 14, 17)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("cat", "one", 6, 14, 17), r"finite numbers xmin, ymin, xmax, ymax, but has \['one'"),
        (("cat", "nan", 6, 14, 17), "finite numbers"),
        (("cat", "1e400", 6, 14, 17), "finite numbers"),
        (("cat", "", 6, 14, 17), "finite numbers"),
        ((" ", 5, 6, 14, 17), "must have the name of a class"),
        ((*CAT, "yes"), "`difficult` must be 0 or 1, but is 'yes'"),
        (("cat", 14, 6, 5, 17), "has a negative width or height"),
        (("cat", 15, 6, 14, 17), "is empty"),
        (("cat", 41, 6, 60, 17), "lies outside of the image"),
    ],
)
def test_objects_that_cannot_be_used_are_named_or_left_out(tmp_path, given, why):
    write_voc(tmp_path, [[CAT], [CAT, given], [CAT]])
    refuses(tmp_path, f"1 of 3 images and 4 annotations are not: Annotations/1.xml object 2: .*{why}")
    found = find(tmp_path, skip_corrupt=True)
    assert list(found.faults) == ["Annotations/1.xml object 2"]
    assert boxes_by_name(found)["1.jpg"] == [("cat", 4, 5, 14, 17)]


def test_an_object_without_a_box_is_named(tmp_path):
    write_voc(tmp_path, [[CAT], [CAT], [CAT]])
    write(tmp_path / "Annotations/0.xml", "<annotation><object><name>cat</name></object></annotation>")
    refuses(tmp_path, r"Annotations/0.xml object 1: its bndbox must have .* but has \[None")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "must be whole XML"),
        ("<annotation><object>", "must be whole XML"),
        ("<annotation/><annotation/>", "must be whole XML"),
        (b"<annotation>\xff</annotation>", "must be whole XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "must be whole XML"),
        (voc(CAT, size=(-40, 30)), r"`size` must have a width and a height in pixels, but has \['-40', '30'\]"),
        (voc(CAT, size=("wide", 30)), "`size` must have"),
        (voc(CAT, size=(0, 30)), "`size` must have"),
        ("<html/>", "must be an element `annotation`, but is 'html'"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><annotation>&e;</annotation>', "no entities of its own, but has 'e'"),
    ],
)
def test_xml_that_cannot_be_read_is_named_or_left_out(tmp_path, content, why):
    write_voc(tmp_path, [[CAT]] * 3)
    write(tmp_path / "Annotations/1.xml", content)
    named = "JPEGImages/1.jpg: its annotations Annotations/1.xml cannot be used"
    refuses(tmp_path, rf"1 of 3 images.*: {named}: .*{why}")
    assert len(find(tmp_path, skip_corrupt=True).names) == 2


def test_a_size_of_nought_or_none_is_that_of_the_file(tmp_path):
    write_voc(tmp_path, [[CAT]] * 3)
    write(tmp_path / "Annotations/0.xml", voc(CAT, size=(0, 0)))
    write(tmp_path / "Annotations/1.xml", voc(CAT, size=None))
    assert {tuple(boxes) for (boxes,) in boxes_by_name(find(tmp_path)).values()} == {("cat", 4, 5, 14, 17)}


def test_a_list_without_images_is_an_error(tmp_path):
    write_voc(tmp_path, [[CAT]] * 4, sets={"train": [0, 1], "val": []})
    refuses(tmp_path, r"ImageSets/Main/val.txt of .* lists none\. Fill it, or remove it")


def test_images_and_annotations_without_the_other_are_named(tmp_path):
    write_voc(tmp_path, [[CAT]] * 4)
    (tmp_path / "JPEGImages/1.jpg").unlink()
    (tmp_path / "Annotations/2.xml").unlink()
    message = refuses(tmp_path, "2 of 4 images")
    assert "Annotations/1.xml: there is no image of that name" in message
    assert "JPEGImages/2.jpg: it has no annotation file; an image that shows nothing has one without objects" in message
    assert len(find(tmp_path, skip_corrupt=True).names) == 2


def test_two_images_of_one_name_are_named(tmp_path):
    write_voc(tmp_path, [[CAT]] * 3)
    write(tmp_path / "JPEGImages/1.png", picture(9, kind="PNG"))
    refuses(tmp_path, "there are 2 images of that name")


def test_two_annotations_of_one_image_are_an_error(tmp_path):
    write_voc(tmp_path, [[CAT]] * 3)
    write(tmp_path / "Annotations/1.XML", voc(CAT))
    refuses(tmp_path, r"Annotations/1\.XML and Annotations/1\.xml are of the same")
